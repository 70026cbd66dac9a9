"""How queen & hive behaves and how to use it, and a few facts about real bees."""

from topic import topic

HOW = (
    topic(
        "",
        """
        What happens when a worker crashes?
        What if a worker crashes?
        What happens if a worker dies?
        A worker crashed. What now?
        Who restarts a crashed worker?
        Does a crashed worker come back?
        What happens when a model runs out of memory?""",
        """
        When a worker crashes, its hive notices at once and starts it again.
        The hive sees that the worker is gone, writes down why, and starts it again.""",
        """
        It waits a little longer after each crash, so that a broken worker does no harm.
        The queen sends new requests to other workers in the meantime.
        A request is tried again elsewhere only if no part of its answer has been sent.
        You can see the reason and the last lines of its log with the command queen why.""",
    ),
    topic(
        "",
        """
        What happens when a hive crashes?
        What if a hive dies?
        What happens to the workers when the hive crashes?
        Does a hive come back after a crash?""",
        """
        When a hive crashes, its workers keep running, and the queen starts the hive again.
        The queen notices that the hive is gone and starts it again.""",
        """
        The new hive finds the workers that are still running and looks after them as before.
        No model has to be loaded again, and open answers go on.""",
    ),
    topic(
        "",
        """
        What happens when the queen crashes?
        What if the queen dies?
        What happens to the hives without a queen?
        Can the queen be restarted?""",
        """
        When the queen crashes, the hives and the workers keep running.
        The hives and workers live on without her, and they wait for her to return.""",
        """
        When she comes back, she reads her journal and finds her hives again.
        Nothing that was confirmed is lost.""",
    ),
    topic(
        "",
        """
        What happens when a machine loses power?
        What happens when a machine goes offline?
        What if the network breaks?
        What happens when a host cannot be reached?""",
        """
        When a machine cannot be reached, the queen sends its requests to other machines.
        The queen marks the machine as unreachable and gives its work to others.""",
        """
        She tries again every few seconds for as long as it lasts.
        She never restarts a machine blindly, because its workers may be well.
        When the machine returns, she compares notes with its hive and carries on.""",
    ),
    topic(
        "polling",
        """
        Why does nobody poll?
        Why is there no polling?
        Why don't you poll?
        Does the queen poll the workers?
        How often does the queen ask whether a worker is ready?""",
        """
        Nobody polls, because the worker itself says when it is ready.
        Asking again and again wastes time, so the worker sends a callback instead.""",
        """
        The news travels from the worker to the hive and from the hive to the queen.
        A waiting request goes on at once and not at the next tick of some clock.
        A slow check remains as a safety net, and in a healthy system it has nothing to do.""",
    ),
    topic(
        "",
        """
        How do I start it?
        How do I start queen & hive?
        How do I start the queen?
        How can I get started?
        How do I run this?
        How do I begin?
        How do I set it up?""",
        """
        Type npm start in the project folder, and the queen starts with a hive and a model.
        To start, run npm start in the project folder.""",
        """
        Then send your first question to port 8080.
        To use more machines, name them in the configuration file, and the queen starts a hive on each.
        The command queen doctor tells you what is missing.""",
    ),
    topic(
        "",
        """
        How do I stop it?
        How do I stop queen & hive?
        How do I stop everything?
        How do I shut it down?
        How do I quit?
        How do I turn it off?
        What does queen down do?""",
        """
        Type queen down, or press Ctrl-C in the window where the queen runs.
        To stop everything, run the command queen down.""",
        """
        Open answers get a little time to finish, and then the workers and the hives are stopped.
        The queen says that something is stopped only when its process is really gone.
        Nothing stays behind to hold your GPU memory.""",
    ),
    topic(
        "",
        """
        How do I add a machine?
        How do I add a hive?
        How do I add another GPU?
        Can I use more than one machine?""",
        """
        Add the machine to the hosts in your configuration, or use the command queen hive add.
        You add a machine by telling the queen its name and how to reach it over SSH.""",
        """
        The queen checks the machine, copies the hive program to it, and starts the hive.
        From then on it can serve your models.""",
    ),
    topic(
        "",
        """
        How do I see what is running?
        How do I know that everything is fine?
        How do I check the status?
        Which commands are there?
        What can I type?""",
        """
        The command queen status shows your hives, your workers and how they are.
        Use queen status to see your hives, and queen ps to see your workers.""",
        """
        The command queen why tells you why a model is not running.
        The command queen logs shows what a worker has written.
        The dashboard shows the same in your browser.""",
    ),
    topic(
        "",
        """
        Why is my model not loading?
        Why does my model not start?
        Something is broken. What should I do?
        I got an error. Can you help?
        It does not work. Help!
        How do I find out what went wrong?""",
        """
        Ask the queen: the command queen why shows the reason and the last lines of the log.
        Start with the command queen doctor, which looks for common mistakes.""",
        """
        Often a file is missing, a flag is wrong, or the GPU has too little memory.
        A worker that failed is tried again by itself, so you need not watch it.""",
    ),
    topic(
        "",
        """
        How does a request find its worker?
        What happens to my request?
        How does a request travel?
        How does it work?
        How does queen & hive work?
        Explain how this works.""",
        """
        Your request goes to the queen, and the queen passes it to a worker that has room.
        You ask the queen, the queen picks a worker, and the worker writes the answer.""",
        """
        If no worker is ready, the queen asks a hive to start one, and your request waits.
        As soon as the worker says ready, your request goes on.
        Every request ends once: with an answer, with a clear error, or because you left.""",
    ),
    topic(
        "",
        """
        How do I use it with my own client?
        Can I use the OpenAI library?
        How do I call the API?
        Is it compatible with OpenAI?
        How do I send a request?""",
        """
        Point your OpenAI client at the queen, and choose one of your models.
        Any tool that speaks the OpenAI API can talk to the queen.""",
        """
        Set the base URL to port 8080 of the queen's machine, with v1 at the end.
        Chat, completions and embeddings all work in the usual way.""",
    ),
    topic(
        "",
        """
        Is it safe?
        How are my machines protected?
        Do I need an API key?
        Who can use my models?
        Are my prompts written to a log?""",
        """
        The queen can ask clients for a key, and every hive has a secret of its own.
        By default the queen listens only on her own machine.""",
        """
        Hives are reached over SSH, and secrets are never put on a command line.
        Your prompts are not written to the logs unless you ask for it.""",
    ),
    topic(
        "",
        """
        What is the difference between a queen and a hive?
        What is the difference between a hive and a worker?
        How do the queen, the hive and the worker fit together?
        Who does what?
        What are the parts?""",
        """
        The queen decides, the hive looks after one machine, and the worker answers.
        There is one queen, one hive on each machine, and one worker for each running model.""",
        """
        The queen talks to clients, and she never starts a worker by herself: she asks a hive.
        A worker reports to its hive, and the hive reports to the queen.""",
    ),
    topic(
        "",
        """
        Why is it called queen & hive?
        Why the bees?
        What do bees have to do with it?
        Where does the name come from?""",
        """
        It is named after bees: one queen, many hives, and workers that do the work.
        Bees work well together, and so should your machines.""",
        """
        Real bees do not wait to be asked either: they come home and dance when they have news.
        I like the name, but then I am a very small bee.""",
    ),
)

BEES = (
    topic(
        "a bee, bees, a honey bee",
        "What do bees do?\nTell me about bees.\nTell me something about bees.\nTell me a fact about bees.",
        """
        A bee is a small flying insect that visits flowers for nectar and pollen.
        Bees are small insects that live together and make honey.""",
        """
        Bees carry pollen from flower to flower, and so they help plants to make seeds and fruit.
        A honey bee has four wings, six legs and five eyes.""",
    ),
    topic(
        "honey",
        "How do bees make honey?\nWhere does honey come from?\nWhat do bees eat?",
        """
        Honey is sweet food that bees make from the nectar of flowers.
        Bees make honey from nectar, which they carry home and dry with their wings.""",
        """
        They keep it in small cells of wax and eat it in winter.
        One bee makes only a little honey in her whole life, but thousands of bees make a lot.""",
    ),
    topic(
        "a waggle dance, the waggle dance",
        "How do bees talk?\nWhy do bees dance?\nHow do bees tell each other where flowers are?",
        """
        The waggle dance is how a bee tells the others where good flowers are.
        Bees talk by dancing: the dance shows the way to the flowers and how far it is.""",
        """
        It is rather like a ready callback: the bee comes home and says it, so nobody has to ask.
        The others follow her steps and then fly straight to the flowers.""",
    ),
    topic(
        "a queen bee, the queen bee",
        "What does a queen bee do?\nHow many queens are in a beehive?",
        """
        A queen bee is the mother of all the bees in her hive.
        The queen bee lays the eggs, and there is usually one in each hive.""",
        """
        She can live for several years, much longer than her workers.
        The queen in our project lays no eggs, but she has much to do as well.""",
    ),
    topic(
        "a beehive, a honeycomb",
        "Where do bees live?\nWhy are the cells of a honeycomb hexagons?",
        """
        A beehive is the home of a family of bees.
        Bees live together in a hive and build their rooms of wax.""",
        """
        The cells have six sides, which saves wax and leaves no gaps.
        Young bees and honey both have their place in it.""",
    ),
)
