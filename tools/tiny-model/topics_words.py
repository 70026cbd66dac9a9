"""The words of queen & hive: what a hive, a queen, a worker and so on are."""

from topic import topic

WORDS = (
    topic(
        "queen & hive, queen and hive, this project, this system",
        """
        What does this project do?
        What is this all about?
        Why should I use queen & hive?
        What is queen and hive good for?""",
        """
        Queen & hive gives you one endpoint for all of your GPU machines.
        Queen & hive joins all of your GPU machines behind one address that speaks the OpenAI API.""",
        """
        The queen runs on a control host, a hive runs on every GPU machine, and workers hold the models.
        You talk to one address, and the queen finds a worker that can answer.
        When something crashes, it is noticed, explained and started again.
        You need no Kubernetes, and you can keep the inference server that you already like.""",
    ),
    topic(
        "a hive, the hive, hive, hives, the hives",
        """
        What does a hive do?
        What does the hive daemon do?
        How many hives do I need?
        Where does a hive run?
        Which program runs on a GPU machine?""",
        """
        A hive is the daemon that runs on each of your GPU machines.
        A hive is the small service on a machine that looks after its workers.""",
        """
        It starts the workers there, keeps watch over them, and tells the queen what happens to them.
        Every machine has one hive, and each hive belongs to one queen.
        When a worker crashes, the hive notices at once and starts it again.
        When the hive itself is restarted, it finds its running workers again, so no model has to be loaded twice.""",
    ),
    topic(
        "a queen, the queen, queen, queens",
        """
        What does the queen do?
        What is the queen's job?
        Who is in charge here?
        Who decides where my request goes?
        Which part do clients talk to?""",
        """
        The queen is the control service of queen & hive.
        The queen is the part that you talk to: one control service for all of your machines.""",
        """
        She speaks the OpenAI API to clients and decides which worker serves each request.
        She starts the hives, watches over them, and restarts them when they crash.
        She writes every change into her journal before she acts on it.
        There is one queen for all of your hives.""",
    ),
    topic(
        "a worker, the worker, worker, a worker process, workers, the workers",
        """
        What does a worker do?
        What do workers do all day?
        Which process holds the model?
        Who answers my prompt?""",
        """
        A worker is a process that holds one model and answers requests.
        A worker is the process that does the real work: it loads a model and serves it.""",
        """
        It is started by the hive on its machine and says that it is ready by a callback.
        Each worker has its own id, and at most one process ever runs under that id.
        When it crashes, the hive starts it again after a short pause.
        It can be llama-server, vLLM, SGLang, or the small built-in worker that runs me.""",
    ),
    topic(
        "a ready callback, the ready callback, a callback, ready callbacks, callbacks",
        """
        How does a worker say that it is ready?
        How does the queen know that a worker is ready?
        What happens when a worker is ready?
        What happens after a model is loaded?
        Who says ready?""",
        """
        A ready callback is the short message by which a worker says: I am ready.
        The ready callback is how a worker tells its hive that its model is loaded.""",
        """
        The worker tells its hive, and the hive tells the queen.
        It is sent again until somebody confirms it, so it is never lost.
        However often it arrives, it takes effect only once.
        A request that was waiting for the worker goes on at that very moment.""",
    ),
    topic(
        "a runtime, the runtime, runtime, runtimes",
        """
        Which inference servers can I use?
        Which runtimes are there?
        Can I use vLLM?
        Does it work with llama-server?
        Can I use my own inference server?""",
        """
        A runtime is a recipe for one kind of worker.
        A runtime tells the hive how to run one kind of inference server.""",
        """
        It says how to launch the worker, how to know that it is ready, and how to check and stop it.
        There are runtimes for llama-server, vLLM, SGLang and the embedded worker.
        You can add a runtime of your own in the configuration.""",
    ),
    topic(
        "an upstream, the upstream, upstream, upstreams",
        """
        Can I add another OpenAI server?
        Can the queen use a server that she did not start?
        How do I use a cloud service as well?""",
        """
        An upstream is another server with the OpenAI API that the queen sends requests to.
        An upstream is a server that the queen uses but does not run.""",
        """
        The queen neither starts nor stops it; she only routes requests to it.
        It can be a laptop in your home or a service in the cloud.
        It can take the overflow when your own machines are busy.""",
    ),
    topic(
        "a slot, the slot, slot, slots",
        """
        How many requests can a worker serve at once?
        What happens when all slots are busy?
        How many slots does a worker have?""",
        """
        A slot is room for one request in a worker.
        A slot is one request that a worker can serve at the same time as others.""",
        """
        A worker with four slots can answer four requests at once.
        When all slots are taken, the next request waits in the queue.
        The queen counts the free slots when she decides where a request goes.""",
    ),
    topic(
        "a host, the host, host, hosts",
        """
        What kinds of machines can I use?
        What do I need on a GPU machine?
        Do I need Kubernetes?
        Do I need Python on the GPU machines?""",
        """
        A host is a machine that can run a hive.
        A host is one of your machines, reached directly or over SSH.""",
        """
        It needs neither Kubernetes nor Python, only one hive program and an inference server.
        The queen reaches it over SSH and starts the hive there.
        Before the first start, the queen checks that the host has what it needs.""",
    ),
    topic(
        "the journal, a journal, journal",
        """
        Where does the queen write things down?
        How does the queen remember what happened?""",
        """
        The journal is the queen's record of everything that changes.
        The journal is a list of every change, and the queen only ever adds to it.""",
        """
        A change is written down before it is carried out.
        The event stream and the dashboard are views of it.
        After a crash the queen reads it and knows where she was.""",
    ),
    topic(
        "an event, the event stream, the events",
        """
        How can I watch what happens?
        Where can I see the events?""",
        """
        An event is a short message that says what has just changed.
        Events tell you what is happening: a worker became ready, a hive came back, a model was loaded.""",
        """
        Each hive sends its events to the queen as soon as they happen.
        You can follow them with the command queen events.""",
    ),
    topic(
        "the dashboard, a dashboard",
        """
        Is there a web page?
        Can I see my machines in the browser?""",
        """
        The dashboard is a web page that the queen serves.
        The dashboard shows your hives and workers in the browser.""",
        """
        It shows which machines are up, which models are loaded, and what is being answered.
        It changes by itself as events arrive.""",
    ),
    topic(
        "a model, the model, model, models",
        """
        How do I add a model?
        Where do models come from?
        Which models can I run?""",
        """
        A model is a file of learned numbers that a worker loads to answer you.
        A model is what a worker serves, and clients ask for it by its name.""",
        """
        You name your models in the configuration, each with a runtime and a path.
        The queen decides which machine loads it.
        A model that nobody uses can be unloaded after a while.""",
    ),
    topic(
        "the queue, a queue, queue",
        """
        What happens when everybody is busy?
        What happens when there are too many requests?
        Do I have to wait?""",
        """
        The queue is where requests wait until a worker has room.
        When every worker is busy, a request waits in the queue.""",
        """
        It is served as soon as a slot becomes free.
        A request never waits for ever: it is answered or it ends with a clear error.
        The queue has a limit, so that it cannot grow without end.""",
    ),
    topic(
        "a token, the token, tokens",
        """
        What are tokens?
        How do you read text?""",
        """
        A token is a word or a piece of a word.
        Tokens are the small pieces of text that a model reads and writes.""",
        """
        I write my answer one token at a time.
        A stream sends you each token as soon as it is made.""",
    ),
    topic(
        "streaming, a stream",
        """
        Can I stream the answer?
        How do I see the answer as it is written?""",
        """
        Streaming means that you see the answer while it is being written.
        With streaming, each piece of the answer reaches you as soon as it is made.""",
        """
        Set stream to true in your request, and the queen passes the pieces on.
        A stream always ends properly: with the whole answer or with a clear error.""",
    ),
    topic(
        "draining, a drain",
        """
        How do I empty a machine before I work on it?
        What does it mean to drain a hive?""",
        """
        Draining means that a worker takes no new requests but finishes the ones it has.
        To drain a hive is to let it finish its work and give it no more.""",
        """
        After that it can be stopped without cutting off any answer.
        What you have drained stays drained until you say otherwise.""",
    ),
    topic(
        "an endpoint, the endpoint, the address",
        """
        Which address do I use?
        Where do I send my requests?
        Which port does the queen listen on?
        Which URL does my client need?""",
        """
        The endpoint is the one address that all of your clients use.
        There is one endpoint for everything, and the queen answers there.""",
        """
        By default the queen listens on port 8080 of her own machine.
        It speaks the OpenAI API, so the tools that you have will work with it.
        You choose a machine by choosing a model: the queen does the rest.""",
    ),
)
