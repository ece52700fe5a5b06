"""What the model knows about bodhi_asgi: patterns of questions, each group with its answer."""

_B = "(bodhi_asgi|bodhi|the bodhi library|it|this library|the library)"
_NAME = "(bodhi_asgi|bodhi|the bodhi library|the bodhi_asgi library|this library|the library)"
_HOW = "(how do i|how can i|how do you|how to|how would i|how does one)"
_WHICH = "(which|what)"

LIBRARY = (
    (
        (
            f"(what is|what's|what exactly is|what actually is) {_NAME}?",
            f"(please |can you |could you |)(explain|describe|tell me about|tell me something about|tell me what is) {_NAME}(| to me| in one sentence| briefly)",
            f"(do you know|have you heard of|what do you know about|i have never heard of) {_NAME}?",
            f"what (does|can) {_NAME} (do|do for me|give me|give my application)?",
            f"(what is the purpose of|why should i use|why would i use|why do i need|what is the point of) {_NAME}?",
            f"what (is|do i use|do i need|would i use) {_NAME} (for|good for|used for)?",
            f"(in one sentence|in short|briefly), what is {_NAME}?",
            f"(tell me|can you tell me|could you tell me|do you know|i want to know) what {_NAME} (is|does|is for|is good for)",
            "(bodhi_asgi|bodhi)?",
        ),
        "bodhi_asgi is a mountable ASGI sub-application that gives a Python web application its own language models.",
    ),
    (
        (
            f"{_HOW} (mount|add|include|embed|use|integrate|put) {_B} (in|into|with|to|inside) (my app|an app|a fastapi app|my fastapi app|my starlette app|my web app|my application|an application|my project|fastapi|starlette)?",
            f"{_HOW} (mount|embed|add|integrate|include) (bodhi_asgi|bodhi|the bodhi library|it|this library|the app|the bodhi app)?",
            f"(show me|tell me|can you show me|please show me|explain|i want to know) how to (mount|embed|add|integrate|include) {_B}(| in my app| in fastapi| to my app)",
            f"how is {_B} (mounted|embedded|added|included|integrated)(| in my app| in fastapi| in an application)?",
        ),
        'Write app.mount("/bodhi", bodhi_app) and pass bodhi_app.lifespan to your app.',
    ),
    (
        (
            f"{_HOW} (mount|add|include|embed|use|integrate|put) {_B} (in|into|with|to|inside) (django|a django app|my django project|my django app|my django application)?",
            f"(show me|tell me|can you show me|please show me|explain) how to (mount|embed|add|integrate|include|use) {_B} (in|with|to) (django|my django project|my django app)",
        ),
        'For Django, write BodhiApp().wrap(get_asgi_application(), "/bodhi").',
    ),
    (
        (
            f"(which|what) (web |python |)(frameworks|hosts) (does {_B} support|does {_B} work with|can i use with {_B}|are supported|are supported by {_B}|work with {_B})?",
            f"(does|can|will) {_B} (work|run|be used) (with|in|inside) (django|fastapi|starlette|my framework|a web framework)?",
            f"(does {_B} support|is there support for|can i use it with|can i use {_B} with) (django|fastapi|starlette|my framework)?",
            f"with (which|what) (web |python |)(frameworks|hosts) (does {_B} work|can i use {_B})?",
        ),
        "It works with Starlette, FastAPI and Django.",
    ),
    (
        (
            f"{_WHICH} (engine|backend|runtime|inference engine|library) (does {_B} use|runs the models|is used by {_B}|runs the model|is used for inference|computes the answers)?",
            f"how (does {_B} run|are|does one run|can {_B} run) (models|the models|language models)( run|)?",
            f"does {_B} (use|need|rely on|run) (llama.cpp|llama-cpp-python)?",
            "what (runs|executes|computes) the (models|model)(| inside| in bodhi_asgi| in bodhi)?",
            "(is|are) (the models|the model|models) run (with|by) (llama.cpp|llama-cpp-python)?",
        ),
        "It runs models with llama.cpp, through llama-cpp-python.",
    ),
    (
        (
            "(where|in which process|in what process) (does|do) (the engine|the model|the models|llama.cpp|inference) run?",
            "(is|are|does) (the engine|the model|the models|llama.cpp) (in|run in|running in) (its own|my|a separate|their own|another) process?",
            "(what happens|what happens to my app|what happens to my application) (when|if) (the engine|the model|llama.cpp) (crashes|dies|fails|stops)?",
            "can (a crash|a crash of the engine|the engine|llama.cpp|a model) (take down|stop|kill|crash) (my app|my application|the host|my server)?",
            "(what|and what) (if|when) (the engine|the model|llama.cpp) (crashes|dies|fails|stops)?",
            "is (it|my app|my application) safe (when|if) (the engine|the model|llama.cpp) (crashes|dies|fails|stops)?",
        ),
        "The engine runs in its own process, so a crash never takes the host down.",
    ),
    (
        (
            f"{_HOW} (start|run|launch|serve) (the server|a server|the bodhi server|it alone|a model|bodhi serve|it on its own|it from the shell)?",
            "(which|what) command (starts|runs|launches|opens) (the server|a server|the bodhi server|it)?",
            "what (do|must|should) i type to (start|run|launch) (the server|a server|the bodhi server|it)?",
            f"{_WHICH} port (does {_B} use|does {_B} listen on|does the server use|does the server listen on|is the default|does bodhi serve use|is used)?",
            "(what is|what's|tell me) the (default port|port)(| of the server| of bodhi serve| of bodhi_asgi| of bodhi)?",
            "on (which|what) port (does it listen|does the server listen|does bodhi serve listen|can i reach it|can i reach the server|does it run)?",
            "(what does|what is) bodhi serve( do|)?",
        ),
        "Type bodhi serve, and it listens on port 1135.",
    ),
    (
        (
            f"{_HOW} (create|make|get|issue|obtain) (a|an api|an access|a new|a bodhi|another) (token|key)?",
            "(which|what) command (creates|makes|issues) (a|an api|an access|a new|a bodhi|another) (token|key)?",
            "(where|how) (do i get|can i get|are|can i make) (a token|an api token|tokens|api tokens|an api key)( made| created|)?",
            "(i need|i want|give me|create|make) (a|an api|an access|a new|a bodhi|another) (token|key)",
            "what does bodhi token create do?",
            "what (can|may) (a token|an api token|a new token|tokens) (do|use|access)?",
        ),
        "Type bodhi token create. Tokens can use nothing until you grant it.",
    ),
    (
        (
            f"{_HOW} (chat|talk|speak) (to|with) (a model|the model|models|the demo model) (in|from|on) (the terminal|my terminal|the shell|the command line|a terminal|the console)?",
            f"{_HOW} chat(| in the terminal| from the terminal| in my terminal| from the command line| in the shell| on the console)?",
            "(which|what) command (starts|opens|begins) (a chat|the chat|a terminal chat)?",
            "(is there|do you have|does it have) (a chat command|a terminal chat|a command line chat|a chat in the terminal)?",
            "can i (chat|talk) (in the terminal|from the terminal|in my terminal|from the command line|on the console|to a model in the terminal)?",
            "(what does|what is) bodhi chat( do|)?",
        ),
        "Type bodhi chat to talk to a model in the terminal.",
    ),
    (
        (
            "(what is|what's|explain|describe|tell me about|what does one do with) request.state.bodhi(| to me| briefly)?",
            "what does request.state.bodhi (do|hold|contain|give me)?",
            f"{_HOW} (call|use|ask|reach) (it|a model|the model|models|bodhi_asgi|bodhi) (in|from|inside) (a view|my view|my views|my code|a handler|a route|python code)?",
            "can (i|my views|a view|my code) (call|use|ask|reach) (models|a model|the model|it) without http?",
            "(is there|do i have|does it have) a (direct call|python call|call without http)?",
        ),
        "request.state.bodhi gives your views the same services as plain async calls.",
    ),
    (
        (
            f"{_WHICH} (licence|license) (does {_B} have|has {_B}|is {_B} under|is used|does {_B} use)?",
            f"(what is|what's|tell me) the (licence|license)(| of {_NAME})?",
            f"(is|are you sure that) {_B} (free|open source|under mit|free software|mit licensed|under the mit licence)?",
            f"under (which|what) (licence|license) is {_B}( published|)?",
        ),
        "It is under the MIT licence.",
    ),
    (
        (
            f"{_WHICH} (python|python version|version of python) (does {_B} need|is needed|does {_B} require|do i need|is required|do i need for {_NAME}|must i have)?",
            f"(does|will) {_B} (work|run) (with|on) python (3.9|3.10|3.11|3.12|3.13)?",
            f"(do i need|does {_B} need|is it enough to have|must i have) python (3.9|3.10|3.11|3.12|3.13)?",
            f"what does {_B} (need|require) (to run|to work)?",
        ),
        "It needs Python 3.11 or newer.",
    ),
    (
        (
            f"(is|are) {_B} (compatible with|compatible to) (openai|the openai api|the openai client|openai clients)?",
            f"(can i use|will|does|can) (the openai client|openai clients|the openai package|the openai library|my openai code) (with|work with|use|talk to|for) {_B}?",
            "(will|does|can) (the openai client|my openai code|the openai package|the openai library) (work|be used|still work)?",
            f"(is there|does {_B} have|does {_B} offer) an (openai api|openai compatible api|openai endpoint)?",
            f"does {_B} work with (openai|the openai api|the openai client|openai clients|the openai package)?",
        ),
        "Yes. The OpenAI client works when you change its base URL and its key.",
    ),
    (
        (
            f"(who|which users) (can|may|is allowed to) (use|access|call|ask) (the models|my models|{_B}|a model)?",
            f"(is|how) {_B} (secure|safe|protected)(| by default)?",
            f"how does {_B} (handle|do|manage) (security|access|permissions|access control|users)?",
            "(who|what) protects (my models|the models|the server|the mount)?",
            "what does deny by default mean?",
        ),
        "It denies by default: without a token or an identity that you allow, nobody can use a model.",
    ),
    (
        (
            f"{_WHICH} (models|files|model files|model format|file format|kind of models|model formats) (does {_B} use|does {_B} support|can {_B} run|does {_B} load|can i use|can i load)?",
            f"(does|can) {_B} (run|load|use|support|open) (gguf|gguf files|gguf models|local models|my own models|a gguf file)?",
            "can i (load|use|run|open) (gguf|gguf files|gguf models|local models|my own models|a gguf file|my own model)?",
        ),
        "It runs local models in GGUF files, the format of llama.cpp.",
    ),
    (
        (
            f"(does|do) {_B} (need|require|use) (the internet|a cloud|the cloud|internet access|a cloud service|a network)?",
            f"(can|does) {_B} (run|work) (offline|locally|without internet|without the internet|on my own machine|without the cloud|on my machine)?",
            "(does|do) (my data|my prompts|anything|the data) (leave|go out of) (my machine|my server|my computer)?",
        ),
        "No cloud is needed: the models run on your own machine.",
    ),
    (
        (
            f"{_WHICH} (database|databases|storage) (does {_B} use|does {_B} support|does {_B} need|is used|are supported|can i use)?",
            f"(does|can) {_B} (use|support|need|work with) (sqlite|postgresql|postgres|a database)?",
            f"where does {_B} (store|keep|save) (data|its data|tokens|the tokens|everything)?",
        ),
        "It uses SQLite, or PostgreSQL if you wish.",
    ),
    (
        (
            "(what is|what's|explain|describe|what does one mean by|tell me about) (asgi|an asgi application|an asgi app|the asgi standard)?",
            "what does asgi (mean|stand for|do)?",
            "(define|do you know) (asgi|an asgi application|an asgi app|the asgi standard)",
        ),
        "ASGI is the asynchronous server gateway interface of Python web applications.",
    ),
)  # fmt: skip
