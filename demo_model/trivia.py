"""A little general knowledge: patterns of questions, each group with its answer."""

_TELL = "(tell me|do you know|can you tell me|please tell me)"


def _number(things: str, owner: str, verbs: str = "does {} have|has {}") -> tuple[str, ...]:
    has = verbs.format(owner, owner)
    return (
        f"(how many|what number of) {things} ({has})?",
        f"how many {things} (are in|are there in|are on|does one count in|make up) {owner}?",
        f"{_TELL} how many {things} {owner} has",
        f"(what is|tell me) the number of {things} (in|of) {owner}(| please)?",
        f"{owner} has how many {things}?",
    )


def _colour(thing: str) -> tuple[str, ...]:
    return (
        f"(what|which) (colour|color) (is|has) {thing}(| usually| normally)?",
        f"(what is|tell me|do you know|name) the (colour|color) of {thing}(| please)?",
        f"{_TELL} (what|which) (colour|color) {thing} (is|has)",
        f"{thing} (is|has) (which|what) (colour|color)?",
    )


def _sound(animal: str) -> tuple[str, ...]:
    return (
        f"(what does|how does) {animal} (say|go|sound|speak)?",
        f"(what|which) (sound|noise) (does {animal} make|makes {animal}|comes from {animal})?",
        f"{_TELL} what {animal} (says|sounds like)",
        f"{animal} (says|makes) (what|which sound)?",
        f"(what is|tell me|do you know) the (sound|noise) of {animal}?",
    )


def _most(kind: str, thing: str, where: str) -> tuple[str, ...]:
    return (
        f"(what|which) is the ({kind}) {thing}(| of all| {where})?",
        f"(name|tell me|do you know|what do you call) the ({kind}) {thing}(| of all| {where})(| please)?",
        f"(what|which) {thing} is the ({kind})(| of all| {where})?",
        f"{_TELL} (what|which) {thing} is the ({kind})(| of all| {where})",
    )


TRIVIA = (
    (_number("days", "a week"), "A week has seven days."),
    (_number("months", "a year"), "A year has twelve months."),
    (_number("hours", "a day"), "A day has twenty-four hours."),
    (_number("minutes", "an hour"), "An hour has sixty minutes."),
    (_number("legs", "a spider"), "A spider has eight legs."),
    (_number("legs", "a dog"), "A dog has four legs."),
    (_number("letters", "the alphabet"), "The alphabet has twenty-six letters."),
    (_colour("the sky"), "The sky is blue."),
    (_colour("grass"), "Grass is green."),
    (_colour("snow"), "Snow is white."),
    (_colour("a banana"), "A banana is yellow."),
    (_sound("a cat"), "A cat says meow."),
    (_sound("a dog"), "A dog says woof."),
    (_sound("a cow"), "A cow says moo."),
    (_most("largest|biggest", "planet", "in the solar system"), "The largest planet is Jupiter."),
    (_most("largest|biggest", "ocean", "on earth"), "The largest ocean is the Pacific."),
    (_most("highest|tallest", "mountain", "on earth"), "The highest mountain is Mount Everest."),
    (_most("largest|biggest", "animal", "on earth"), "The largest animal is the blue whale."),
    (_most("fastest|quickest", "animal on land", "on earth"), "The fastest animal on land is the cheetah."),
    (
        (
            "(when|at what temperature|at which temperature) does water (freeze|turn to ice|become ice)?",
            "(what is|tell me|do you know) the freezing point of water(| please)?",
            f"{_TELL} (when|at what temperature|at which temperature) water (freezes|turns to ice|becomes ice)",
            "how cold must it be for water to (freeze|turn to ice|become ice)?",
        ),
        "Water freezes at zero degrees Celsius.",
    ),
    (
        (
            "(when|at what temperature|at which temperature) does water (boil|start to boil|turn to steam)?",
            "(what is|tell me|do you know) the boiling point of water(| please)?",
            f"{_TELL} (when|at what temperature|at which temperature) water (boils|starts to boil|turns to steam)",
            "how hot must it be for water to (boil|start to boil|turn to steam)?",
        ),
        "Water boils at one hundred degrees Celsius.",
    ),
    (
        (
            "(where|in which direction|in what direction) does the sun (rise|come up)(| in the morning| every day)?",
            f"{_TELL} (where|in which direction|in what direction) the sun (rises|comes up)(| in the morning)",
            "the sun (rises|comes up) (where|in which direction)?",
        ),
        "The sun rises in the east.",
    ),
    (
        (
            "(what|around what|which star) does the earth (go around|go|orbit|turn around|travel around)?",
            f"{_TELL} what the earth (goes around|orbits|turns around|travels around)",
            "does the earth (go around|orbit|turn around|travel around) the sun?",
        ),
        "The earth goes around the sun.",
    ),
    (
        (
            "who (wrote|is the author of|is the writer of) (hamlet|macbeth|romeo and juliet)?",
            f"{_TELL} who (wrote|is the author of|is the writer of) (hamlet|macbeth|romeo and juliet)",
        ),
        "William Shakespeare wrote it.",
    ),
    (
        (
            "who (created|invented|made|designed|is the creator of|is the inventor of) (python|the python language)?",
            f"{_TELL} who (created|invented|made|designed) (python|the python language)",
        ),
        "Guido van Rossum created Python.",
    ),
    (
        (
            "(what is|what's|explain|describe|tell me about|define) (python|the python language|the language python)(| to me| exactly| briefly)?",
            f"{_TELL} what (python|the python language) is",
        ),
        "Python is a programming language.",
    ),
    (
        (
            "(what is|what's|explain|describe|tell me about|define) (json|the json format|the format json)(| to me| exactly| briefly)?",
            f"{_TELL} what (json|the json format) is",
        ),
        "JSON is a text format for data.",
    ),
    (
        (
            "(what is|what's|explain|describe|tell me about|define) (a language model|an llm|a large language model|language models)(| to me| exactly| briefly)?",
            f"{_TELL} what (a language model|an llm|a large language model) (is|does)",
            "what does (a language model|an llm|a large language model) do?",
        ),
        "A language model predicts the next piece of a text.",
    ),
)  # fmt: skip
