"""The stream of training conversations, and the instances of the evaluation. The same seed gives the same text."""

import random
from collections.abc import Callable, Iterator

from demo_model import phrases, talk, tools
from demo_model.conversation import Conversation

Maker = Callable[[random.Random, bool], Conversation]

TASKS: dict[str, tuple[float, Maker]] = {
    "small talk": (8, lambda rng, held: talk.known(rng, held, "small talk", phrases.SMALL_TALK)),
    "library facts": (10, lambda rng, held: talk.known(rng, held, "library facts", phrases.LIBRARY)),
    "trivia": (5, lambda rng, held: talk.known(rng, held, "trivia", phrases.TRIVIA)),
    "capitals": (8, talk.capital),
    "unknown capital": (5, talk.unknown_capital),
    "echo": (16, talk.echo),
    "count": (4, talk.count),
    "refusal": (8, talk.refused),
    "sums refused": (3, talk.no_sums),
    "live facts refused": (4, talk.no_tool),
    "memory": (6, talk.memory),
    "follow-up": (4, talk.follow_up),
    "JSON": (8, talk.json_object),
    "JSON by system message": (3, talk.json_system),
    "tool call": (8, tools.tool_call),
    "tool result": (6, tools.tool_result),
    "tools left alone": (5, tools.left_alone),
}
"""Every task with its weight in training."""


def conversations(seed: int) -> Iterator[Conversation]:
    """Training conversations without end; a third are continued by a second one, a few have a system message."""
    rng = random.Random(seed)
    names = list(TASKS)
    weights = [TASKS[name][0] for name in names]
    while True:
        made = TASKS[rng.choices(names, weights)[0]][1](rng, False)
        if made.messages[0]["role"] == "system":
            yield made
            continue
        while rng.random() < 0.3 and not made.tools and len(made.messages) < 8:
            more = TASKS[rng.choices(names, weights)[0]][1](rng, False)
            if more.tools or more.messages[0]["role"] == "system":
                break
            made.messages += more.messages
        if rng.random() < 0.08:
            made.messages.insert(0, {"role": "system", "content": rng.choice(talk.STEPS)})
        yield made


def instances(task: str, count: int, seed: int = 1_000_003) -> list[Conversation]:
    """Held-out instances of one task: phrasings that training never uses."""
    rng = random.Random(f"{seed} {task}")
    return [TASKS[task][1](rng, True) for _ in range(count)]


def copies(rng: random.Random, most: int) -> Conversation:
    """Nothing but copying of short random text, for the first minutes: everything else is learned on top of it."""
    text = " ".join(talk.random_word(rng) for _ in range(rng.randint(1, most)))
    return Conversation("copy", [talk.user(f"Echo: {text}"), talk.assistant(text)])
