"""The stream of training conversations, and the instances of the evaluation. The same seed gives the same text."""

import random
from collections.abc import Callable, Iterator

from demo_model import talk, tools, words
from demo_model.conversation import Conversation, assistant, user
from demo_model.grammar import order
from demo_model.library import LIBRARY
from demo_model.questions import SYSTEM
from demo_model.small_talk import SMALL_TALK
from demo_model.trivia import TRIVIA

Maker = Callable[[random.Random, bool], Conversation]

TASKS: dict[str, tuple[float, Maker]] = {
    "small talk": (12, lambda rng, held: talk.known(rng, held, "small talk", SMALL_TALK)),
    "library facts": (13, lambda rng, held: talk.known(rng, held, "library facts", LIBRARY)),
    "trivia": (6, lambda rng, held: talk.known(rng, held, "trivia", TRIVIA)),
    "capitals": (7, talk.capital),
    "unknown capital": (6, talk.unknown_capital),
    "echo": (15, talk.echo),
    "count": (7, talk.count),
    "refusal": (9, talk.refused),
    "sums refused": (3, talk.no_sums),
    "live facts refused": (3, talk.no_tool),
    "memory": (5, talk.memory),
    "follow-up": (6, talk.follow_up),
    "JSON": (7, talk.json_object),
    "JSON by system message": (3, talk.json_system),
    "tool call": (10, tools.tool_call),
    "tool result": (4, tools.tool_result),
    "tools left alone": (9, tools.left_alone),
}
"""Every task with its weight in training."""


def conversations(seed: int) -> Iterator[Conversation]:
    """Training conversations without end; many are continued by a second one, a few have a system message."""
    rng = random.Random(seed)
    names = list(TASKS)
    weights = [TASKS[name][0] for name in names]
    while True:
        made = TASKS[rng.choices(names, weights)[0]][1](rng, False)
        if made.messages[0]["role"] == "system":
            yield made
            continue
        if made.tools and rng.random() < 0.12:
            made.messages = talk.known(rng, False, "", SMALL_TALK).messages + made.messages
        while rng.random() < 0.25 and not made.tools and len(made.messages) < 8:
            more = TASKS[rng.choices(names, weights)[0]][1](rng, False)
            if more.tools or more.messages[0]["role"] == "system":
                break
            made.messages += more.messages
        if rng.random() < 0.08:
            made.messages.insert(0, {"role": "system", "content": order(rng, SYSTEM, False)})
        yield made


def instances(task: str, count: int, seed: int = 1_000_003) -> list[Conversation]:
    """Held-out instances of one task: phrasings that training never uses."""
    rng = random.Random(f"{seed} {task}")
    return [TASKS[task][1](rng, True) for _ in range(count)]


def copies(rng: random.Random, most: int) -> Conversation:
    """Nothing but copying of short random text, for the first minutes: everything else is learned on top of it."""
    text = " ".join(words.invented(rng) for _ in range(rng.randint(1, most)))
    return Conversation("copy", [user(f"Echo: {text}"), assistant(text)])
