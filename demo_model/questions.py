"""Patterns of the questions that have places to fill, and the fixed answers of what the model refuses."""

import random

from demo_model import words
from demo_model.grammar import ask

REFUSAL = "I do not know. I am only a small demo model."
NO_SUMS = "I am a small demo model and cannot calculate reliably. Give me the tool add."
NO_TOOL = "I cannot look that up without a tool."

CAPITAL = (
    "(what is|what's|which city is|name|which is|tell me|i need|i forgot) the capital (city |)of {x}?",
    "(please |can you |could you |)(tell me|name|give me|say) the capital (city |)of {x}(| now)",
    "(the |)capital (city |)of {x}?",
    "(what|which) (city|town|place) is {x}'s capital(| city)?",
    "(what is|what's|tell me|name|do you know|which is) {x}'s capital(| city)?",
    "(do you know|can you tell me|i want to know|i would like to know|tell me|remind me|i need to know) (what|which city) the capital (city |)of {x} is",
    "(do you know|i am looking for|give me|i want|say) the capital (city |)of {x}",
    "{x} has (which|what) capital(| city)?",
    "(which|what) capital (does {x} have|has {x})?",
    "(for|in|of) {x}, what is the capital(| city)?",
    "{x}'s capital(| city|| is which city)?",
    "(which|what) city is the capital (city |)of {x}?",
)

FOLLOW = (
    "(and|and what is|and now|now|what is|then|also|next) (the one of|the capital of|that of|the capital city of) {x}?",
    "(and|and now|now|then|also|next|ok and|and then) (of|for|in) {x}?",
    "(what|how|and what|and how|now what|so what) about {x}(| then| now)?",
    "(and|now|then|next|also|ok|and then|and now|and also) {x}(| then| now)?",
    "(the same|same question|the same question|and the same|now the same) (for|of|about|with) {x}(| then| now)?",
    "(and|now|then) (the capital|which city|what|which) (of|for|in) {x}?",
    "{x}?",
    "{x} (then|too|now|as well|next)?",
)

UNKNOWN = (
    "who (won|lost|organised|watched|invented|discovered|made|wrote|found|painted) the {t}(| in {y}| last year| this season| in {x}| yesterday)?",
    "(when|why|where|how) (was|did) {n} (born|die|move to {x}|become famous|leave {x}|win|learn {t})?",
    "(explain|describe|teach me|help me understand|give me an introduction to) (the theory of |the history of |the rules of |the meaning of |){t}(| to me| in detail)",
    "(how do i|how can i|how does one|what is the best way to) (repair|build|cook|sell|clean|paint|learn|use|buy) (a |an |my ){t}?",
    "(what is|what was|tell me) the (price|population|history|meaning|origin|value|weight|height|length) of (a |the |){t}(| in {x}| in {y})?",
    "(who is|who was|tell me about|what do you know about|do you know|where is|what did) {n}(| say about {t}| do| today)?",
    "(who is|who was) the (president|king|queen|mayor|leader|prime minister|owner) of {x}(| now| in {y})?",
    "(what|which) (team|company|player|actor|book|song|film) (won|made|wrote|sold) the {t}(| in {y}| in {x})?",
    "(what is|what are|what's|do you like|where can i find|where can i buy|give me a recipe for|give me a recipe with) (a |the |my |){t}?",
    "(recommend|suggest|find) (me |)(a|some|a good|the best) (book|film|song|{t}|restaurant|game)(| about {u}| in {x})",
    "how (far|old|heavy|long|expensive|tall|big) is (the {t}|a {t}|{n}|my {t})(| in {x}| from {x})?",
    "(what happened|what was invented|who was famous|who was king) in {y}(| in {x})?",
    "(should i|can i|must i) (buy|sell|eat|visit|read) (a |the |){t}(| today| this year)?",
    "(what|which) {t} (should i|can i|do people) (buy|like|use|prefer)(| in {x}| this year)?",
    "(why|how) (is|are|does|do) (the |a |){t} (so |)(important|popular|work|expensive|different|{u})(| in {x})?",
    "(please |can you |could you |)(write|draft|create|generate) (me |)(an essay|a program|a letter|a report|code|an email|an article|a song|a speech) (about|for|on) (the |a |){t}",
    "(please |can you |could you |)(translate|convert) (the {t}|{t}|hello|this text|good morning) (into|to) (german|french|spanish|latin|italian|hindi)",
    "(please |can you |could you |)(summarise|summarize|rewrite|review|correct|improve) (this|the text|this text|the article|the book): the {t} and the {u}",
    "(what does|what did) {n} (say|think|write) about (the |a |){t}?",
    "what does (the word |){t} mean(| in latin| exactly)?",
    "(how many|how much) (people live in {x}|{t} is there in {x}|does a {t} cost|do {t} cost|people like {t}|is a {t})?",
    "(what is|tell me|give me) the (phone number|address|age|birthday|favourite {t}) of {n}?",
    "what is (the news|new|the news today|the meaning of life|the meaning of {t}|love|the best {t}|the best {t} in {x})?",
    "(what do you think about|what do you think of|is {n} a good|who has the best|which is the best) (the |){t}?",
    "(where|when) (does|did|can i see) (the |a |){t} (live|start|open|end|begin|grow)(| in {x})?",
    "who (won|lost|watched) the (match|game|cup|world cup|election|race)(| in {y}| last year| yesterday| in {x})?",
)

COUNT_TO = (
    "(please |can you |could you |now |i want you to |would you |)count (up |)to {n}(| for me| now)",
    "(please |can you |could you |now |would you |)count from (1|one) (up |)to {n}(| for me| now)",
    "(list|give me|write|show me|say|print|tell me) (all |)the numbers (from 1 to|up to|from one to|until|from 1 up to) {n}",
)
COUNT_FROM = (
    "(please |can you |could you |now |i want you to |would you |)count (up |)from {m} to {n}(| for me| now)",
    "(list|give me|write|show me|say|print|tell me) (all |)the numbers from {m} (up |)to {n}",
)

ECHO = (
    "(please |can you |could you |now |)(repeat|echo|say|copy) (this|the following|after me|exactly|these words|my words|the text|exactly this|the words|what i say): {w}",
    "(please |now |just |)(repeat|echo|say|copy): {w}",
    "(please |can you |now |just |)(repeat after me|say exactly|echo back|say the words|repeat the words|say after me|copy the words) {w}",
    '(please |now |just |can you |)(repeat|echo|say|write|copy) "{w}"',
    "(write|print|output|type|write again|write down) (this|the following|the words|exactly|these words|this again|the text): {w}",
    "(answer|reply|respond) (only |just |)with(:| the words| the words:| exactly:) {w}",
)

SUMS = (
    "(what is|what's|how much is|how many is|calculate|compute|tell me|what do you get for) {a} (plus|+|minus|-|times|*|divided by|/) {b}?",
    "(please |can you |could you |now |)(multiply {a} by|divide {a} by|multiply {a} with|subtract {a} from) {b}",
    "{a} (plus|+|minus|-|times|*|divided by|/) {b}(| =|?)",
    "(what is|what's|tell me|give me|compute|calculate) the (sum|product|difference|total) of {a} and {b}?",
    "(please |can you |could you |now |)(add|sum up|add up|add together) {a} and {b}",
    "(how much is|what is|what do you get when you add) {a} and {b}?",
    "what do {a} and {b} (add up to|make|make together|sum to|give)?",
)
ADD = (
    "(what is|what's|how much is|how many is|calculate|compute|tell me|what do you get for) {a} (plus|+) {b}?",
    "{a} (plus|+) {b}(| =|?)",
    "(what is|what's|tell me|give me|compute|calculate) the (sum|total) of {a} and {b}?",
    "(please |can you |could you |now |)(add|sum up|add up|add together) {a} and {b}",
    "(how much is|what is|what do you get when you add) {a} and {b}?",
    "what do {a} and {b} (add up to|make|make together|sum to|give)?",
)

WEATHER = (
    "(what is|what's|how is|how's|do you know|tell me) the weather (in|for|over in) {x}(| today| now| right now| at the moment)?",
    "what is the weather like (in|over in) {x}(| today| now| right now| at the moment)?",
    "(please |can you |could you |)(tell me|check|show me|look up|get|give me|find out) the (weather|current weather|weather report) (in|for|of) {x}(| now| today)",
    "(is it|will it be) (raining|sunny|warm|cold|hot|windy|cloudy|snowing) in {x}(| today| now| right now)?",
    "(what is|what's|tell me|how high is) the temperature in {x}(| today| now| right now)?",
    "(do i need|should i take|will i need) (an umbrella|a coat|a jacket|sunglasses) in {x}(| today| now)?",
    "(how warm|how cold|how hot) is it in {x}(| today| now| right now)?",
    "(the |)weather (in|for) {x}(| today| now)?",
    "{x} weather(| today| now)?",
)
TIME = (
    "(what time is it|what's the time|what is the time|what is the current time|what is the local time|do you know the time) (in|over in) {x}(| now| right now| at the moment)?",
    "(please |can you |could you |)(tell me|check|show me|look up|get|give me|find out) the (time|current time|local time) (in|for|of) {x}(| now)",
    "(how late is it|is it late|which time is it|what hour is it|what time do they have) in {x}(| now| right now)?",
    "(is it|is it already) (morning|evening|night|noon|midnight) in {x}(| now)?",
    "(the current |current |local |the |)time (in|for) {x}(| now)?",
)

INTRODUCE = (
    "(hello, |hi, |hey, |good morning, |)(my name is|i am called|call me|people call me|you can call me|they call me|my friends call me) {x}(|.|!)",
    "(hello|hi|hey|good morning|good evening|good day)(,|!) (i am|i'm|this is|here is|it is) {x}(|.|!)",
    "(i am|i'm) {x}(|.|!)",
    "(please remember|remember|note|please note) (that my name is|my name is|that i am called) {x}(|.|!)",
)
WHO_AM_I = (
    "(what is|what's|what was|tell me|say|do you know|guess) my name(| again| now)?",
    "(do you|do you still|can you) (remember|recall) (my name|who i am|what i am called|how i am called)?",
    "do you (know|still know) (my name|who i am|what i am called|how i am called)(| now)?",
    "(who am i|what am i called|how am i called|what did i say my name is|what did i tell you my name was)(| again| now)?",
    "(tell me|please tell me|can you tell me|could you tell me) (my name|who i am|what i am called|how i am called|what my name is|what my name was)(| again)",
)

JSON_ASK = (
    "(please |can you |could you |now |)(give me|write|make|create|return|produce|output|build|show me) (a json object|json|one json object|an object in json) (with|containing|that has|holding|for) {p}",
    "(json|a json object|as json|in json|answer in json|reply with json|answer with json|json please|reply in json|return json): {p}",
    "(write|put|format|express|return|turn|convert) (this|the following|these|these values) (as|in|into|to) (json|a json object): {p}",
    "(json|a json object|one json object) (with|containing|that has|holding|for) {p}",
)
JSON_SYSTEM = (
    "(answer|reply|respond|always answer|please answer|always reply|always respond|you answer|you reply) (in|with|only in|only with|using|as) (json|a json object|valid json)(|.| only.)",
    "(your answers|your replies|all answers|all your answers) (must be|are|should be|have to be) (json|valid json|json objects|in json)(|.)",
    "(use|only use|write|speak|always use) (json|valid json|json objects)(|.| only.)",
)
SYSTEM = (
    "you are a (helpful |friendly |small |polite |useful |kind |)(assistant|chat model|language model|bot|model)(.|)",
    "(be|always be|please be) (brief|polite|helpful|friendly|short|kind)(.|)",
    "(answer|reply) (briefly|politely|in one sentence|shortly|in english|kindly)(.|)",
    "you (help|assist|answer) (users|people|visitors|customers) of (a|our|this) (web site|application|shop|service)(.|)",
    "you are (helpful|friendly|polite|useful|kind)(.|)",
)


def live(rng: random.Random, held: bool) -> str:
    """The weather or the time in a city."""
    return ask(rng, WEATHER if rng.random() < 0.55 else TIME, held, x=city(rng))


def city(rng: random.Random) -> str:
    """A city, now and then one that does not exist."""
    return rng.choice(words.CITIES) if rng.random() < 0.85 else words.invented(rng).capitalize()
