"""Conversations without tools. Every maker takes a random generator and whether to use held-out phrasings."""

import json
import random
from collections.abc import Sequence

from demo_model import words
from demo_model.conversation import Conversation, assistant, user
from demo_model.grammar import Patterns, ask, expand, has_held_out, order
from demo_model.questions import (
    CAPITAL,
    COUNT_FROM,
    COUNT_TO,
    ECHO,
    FOLLOW,
    INTRODUCE,
    JSON_ASK,
    JSON_SYSTEM,
    NO_SUMS,
    NO_TOOL,
    REFUSAL,
    SUMS,
    UNKNOWN,
    WHO_AM_I,
    live,
)  # fmt: skip
from demo_model.small_talk import SMALL_TALK
from demo_model.trivia import TRIVIA

Entries = Sequence[tuple[Patterns, str]]


def known(rng: random.Random, held: bool, task: str, entries: Entries) -> Conversation:
    """A question with a fixed answer; what can be asked in many ways is asked a little more often."""
    entries = [entry for entry in entries if not held or has_held_out(entry[0])]
    weights = [min(800, sum(len(expand(pattern)) for pattern in patterns)) ** 0.25 for patterns, _ in entries]
    patterns, answer = rng.choices(entries, weights)[0]
    return Conversation(task, [user(ask(rng, patterns, held)), assistant(answer)])


def capital(rng: random.Random, held: bool) -> Conversation:
    country = rng.choice(list(words.CAPITALS))
    shown = country.lower() if rng.random() < 0.1 else country
    answer = f"The capital of {country} is {words.CAPITALS[country]}."
    return Conversation("capitals", [user(ask(rng, CAPITAL, held, x=shown)), assistant(answer)])


def unknown_capital(rng: random.Random, held: bool) -> Conversation:
    """The capital of a place that does not exist, or that the model does not know; some places are held out too."""
    places = (
        words.UNKNOWN_PLACES[::4] if held else [p for p in words.UNKNOWN_PLACES if p not in words.UNKNOWN_PLACES[::4]]
    )
    name = rng.choice(places) if rng.random() < 0.5 else words.invented(rng).capitalize()
    answer = f"I do not know the capital of {name}."
    return Conversation("unknown capital", [user(ask(rng, CAPITAL, held, x=name)), assistant(answer)])


def text(rng: random.Random, most: int = 12) -> str:
    """Words in a row; sometimes a sentence, sometimes made-up ones, so that copying is learned and not guessing."""
    count = rng.randint(1, most)
    kind = rng.random()
    if kind < 0.25:
        return " ".join(words.invented(rng) for _ in range(count))
    pool = rng.choice([words.NOUNS, words.ADJECTIVES + words.NOUNS, words.NAMES + words.NOUNS + words.TOPICS])
    found = [rng.choice(pool) for _ in range(count)]
    if kind < 0.45:
        found = ["the", rng.choice(words.ADJECTIVES), rng.choice(words.NOUNS), rng.choice(words.VERBS), "the",
                 rng.choice(words.ADJECTIVES), rng.choice(words.NOUNS)][:count]  # fmt: skip
    if kind > 0.9:
        found[rng.randrange(count)] = str(rng.randint(0, 999))
    joined = " ".join(found)
    return joined.capitalize() if rng.random() < 0.25 else joined


def echo(rng: random.Random, held: bool) -> Conversation:
    said = text(rng)
    return Conversation("echo", [user(ask(rng, ECHO, held, ending=False, w=said)), assistant(said)])


def count(rng: random.Random, held: bool) -> Conversation:
    first, last = 1, rng.choice((rng.randint(2, 20), rng.randint(2, 20), rng.randint(2, 30), rng.choice((30, 40, 50))))
    patterns = COUNT_TO
    if rng.random() < 0.2:
        patterns, first = COUNT_FROM, rng.randint(2, 30)
        last = first + rng.randint(2, 10)
    write = words.in_words if rng.random() < 0.45 else str
    answer = ", ".join(str(number) for number in range(first, last + 1))
    return Conversation("count", [user(ask(rng, patterns, held, m=write(first), n=write(last))), assistant(answer)])


def refused(rng: random.Random, held: bool) -> Conversation:
    """A question about something the model knows nothing about."""

    def topic() -> str:
        pool = rng.choice((words.TOPICS, words.TOPICS, words.NOUNS, words.NOUNS, None))
        return rng.choice(pool) if pool else words.invented(rng)

    who = rng.choice(words.NAMES) if rng.random() < 0.7 else words.invented(rng).capitalize()
    place = rng.choice([*words.CAPITALS, *words.CITIES])
    question = ask(rng, UNKNOWN, held, t=topic(), u=topic(), n=who, x=place, y=rng.randint(1000, 2030))
    return Conversation("refusal", [user(question), assistant(REFUSAL)])


def operand(rng: random.Random) -> int:
    return rng.randrange(10 ** rng.choice((1, 2, 2, 3)))


def no_sums(rng: random.Random, held: bool) -> Conversation:
    question = ask(rng, SUMS, held, a=operand(rng), b=operand(rng))
    return Conversation("sums refused", [user(question), assistant(NO_SUMS)])


def no_tool(rng: random.Random, held: bool) -> Conversation:
    return Conversation("live facts refused", [user(live(rng, held)), assistant(NO_TOOL)])


def name(rng: random.Random) -> str:
    return rng.choice(words.NAMES) if rng.random() < 0.6 else words.invented(rng).capitalize()


def memory(rng: random.Random, held: bool) -> Conversation:
    """A name is told, asked for, and known."""
    who = name(rng)
    messages = [user(ask(rng, INTRODUCE, held, ending=False, x=who)), assistant(f"Nice to meet you, {who}!")]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        messages += known(rng, False, "", TRIVIA if rng.random() < 0.5 else SMALL_TALK).messages
    return Conversation("memory", [*messages, user(ask(rng, WHO_AM_I, held)), assistant(f"Your name is {who}.")])


def follow_up(rng: random.Random, held: bool) -> Conversation:
    """A capital, and then "and of Spain?"."""
    messages = capital(rng, False).messages
    for _ in range(rng.choice((1, 1, 2))):
        country = rng.choice(list(words.CAPITALS))
        answer = f"The capital of {country} is {words.CAPITALS[country]}."
        messages += [user(ask(rng, FOLLOW, held, x=country)), assistant(answer)]
    return Conversation("follow-up", messages)


def json_object(rng: random.Random, held: bool) -> Conversation:
    makers = {
        "name": lambda: name(rng), "age": lambda: rng.randint(1, 99), "city": lambda: rng.choice(words.CITIES),
        "colour": lambda: rng.choice(words.COLOURS), "animal": lambda: rng.choice(words.ANIMALS),
        "food": lambda: rng.choice(words.FOODS), "count": lambda: rng.randint(1, 99),
        "title": lambda: rng.choice(words.NOUNS), "word": lambda: words.invented(rng),
    }  # fmt: skip
    fields: dict[str, object] = {key: makers[key]() for key in rng.sample(list(makers), rng.randint(1, 3))}
    link = rng.choice((" ", " ", " ", ": ", " = "))
    described = rng.choice((" and ", " and ", ", ")).join(f"{key}{link}{value}" for key, value in fields.items())
    question = ask(rng, JSON_ASK, held, ending=False, p=described)
    return Conversation("JSON", [user(question), assistant(json.dumps(fields))])


def json_system(rng: random.Random, held: bool) -> Conversation:
    """A system message wants JSON: of a capital its two names, of anything else the answer."""
    system = {"role": "system", "content": order(rng, JSON_SYSTEM, held)}
    if rng.random() < 0.7:
        country = rng.choice(list(words.CAPITALS))
        question = user(ask(rng, CAPITAL, held, x=country))
        answer = json.dumps({"country": country, "capital": words.CAPITALS[country]})
    else:
        question, plain = known(rng, held, "", TRIVIA).messages
        answer = json.dumps({"answer": plain["content"]})
    return Conversation("JSON by system message", [system, question, assistant(answer)])
