"""Further words that newcomers meet: models and files, keys, commands, and what the queen does by herself."""

from topic import topic

MORE = (
    topic(
        "a language model, an LLM, a large language model",
        """
        How does a language model work?
        How do you work?
        What is AI?""",
        """
        A language model is a program that has learned which word comes next.
        A language model writes text by choosing one token after another.""",
        """
        It has learned this from many examples, and a big model has seen far more of them than I have.
        A worker loads the model into memory, and then it can answer you.""",
    ),
    topic(
        "a GPU, the GPU, GPU memory",
        """
        Why do I need a GPU?
        Do I need a GPU?""",
        """
        A GPU is a chip that does many sums at once, which is just what a large model needs.
        A GPU makes large models fast, because it does many sums at the same time.""",
        """
        Each worker needs some of its memory for the model and for the open requests.
        A small model like me can do without one.""",
    ),
    topic(
        "an embedding, embeddings, a vector",
        """
        Can I make embeddings?
        What are embeddings good for?""",
        """
        An embedding is a list of numbers that stands for the meaning of a text.
        Embeddings turn texts into numbers, so that similar texts can be found.""",
        """
        The queen has an endpoint for embeddings next to the one for chat.
        I can make embeddings too, but better ones come from a bigger model.""",
    ),
    topic(
        "a GGUF file, GGUF, llama.cpp, llama-server",
        """
        Which files can the embedded worker load?
        Which file holds a model?""",
        """
        GGUF is a file format for models, and llama.cpp is a program that runs them.
        A GGUF file holds a whole model: its numbers, its words and its chat template.""",
        """
        The server of llama.cpp is called llama-server, and there is a runtime for it.
        I am a GGUF file of less than four megabytes.""",
    ),
    topic(
        "vLLM, SGLang, an inference server",
        """
        Which inference server should I take?
        What is the difference between vLLM and llama-server?""",
        """
        An inference server is a program that loads a model and answers requests, such as vLLM, SGLang or llama-server.
        VLLM, SGLang and llama-server are inference servers, and queen & hive can run all of them.""",
        """
        You keep the one that you like, and the hive starts it, watches it and stops it.
        Each of them has a runtime that knows how it says ready.""",
    ),
    topic(
        "the configuration, the configuration file, queen.yaml",
        """
        Where is the configuration?
        How do I configure it?
        How do I change the settings?""",
        """
        The configuration is a file in which you name your machines and your models.
        You tell the queen about your hosts and models in her configuration file, queen.yaml.""",
        """
        The command queen config check tells you whether it is right.
        A mistake in it is reported before anything is changed.""",
    ),
    topic(
        "queen doctor, the doctor",
        """
        What does queen doctor do?
        How do I check my machine?""",
        """
        The command queen doctor looks for common mistakes on your machines.
        Queen doctor checks your machines and tells you what is missing.""",
        """
        It is a good first step when something does not work.
        There is a hive doctor too, for a single machine.""",
    ),
    topic(
        "back-off, a breaker, a restart",
        """
        How often is a worker restarted?
        What if a worker crashes again and again?
        What happens when a worker keeps crashing?""",
        """
        When something crashes again and again, each restart waits longer than the one before.
        Back-off means waiting a little longer before each new try.""",
        """
        After too many crashes in a short time the breaker opens, and it is tried only now and then.
        When the worker has served requests for a while, its old crashes are forgiven.""",
    ),
    topic(
        "an orphan, orphans, an orphaned process",
        """
        What if a process stays behind?
        Can a worker be left over after a crash?
        Who cleans up after a crash?""",
        """
        An orphan is a process that nobody looks after any more.
        A worker that has lost its hive would be an orphan, and we leave none behind.""",
        """
        After any crash the hive finds every process that it has started and adopts it or ends it.
        It never stops a process that is not its own.""",
    ),
    topic(
        "the tiny model, a bigger model, a better model",
        """
        How do I get better answers?
        How do I load a bigger model?
        Which model should I use?
        How can I replace you?
        Can I use a real model?""",
        """
        For better answers, add a bigger model to your configuration and ask for it by name.
        You need a bigger model for real work: put its file on a machine and name it in the configuration.""",
        """
        The queen then picks a machine for it and starts a worker there.
        I am only here so that you get a first answer without any download.""",
    ),
    topic(
        "",
        """
        How do I restart a hive?
        How do I restart a worker?
        How do I restart everything?""",
        """
        The command queen hive restart restarts a hive, and its workers keep running meanwhile.
        You can restart a hive with the command queen hive restart.""",
        """
        A crashed hive or worker needs no command, because it is started again by itself.
        What you have stopped yourself stays stopped until you start it.""",
    ),
    topic(
        "",
        """
        How do I stop one worker?
        How do I unload a model?
        How do I free my GPU?
        How do I get my GPU memory back?""",
        """
        The command queen unload stops the workers of a model and frees their memory.
        To free a GPU, unload its model with the command queen unload.""",
        """
        You are told that it has stopped only when the process is really gone.
        A model that nobody uses for a while can also be unloaded by itself.""",
    ),
)
