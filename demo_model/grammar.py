"""Phrasings written as small patterns: ``(what is|tell me) the capital of {x}`` stands for two sentences.

A share of all sentences, chosen by a hash of their words, is never trained on: the evaluation asks those. Their words
are all trained on, in other sentences with the same answer; what is new is how they are put together.
"""

import hashlib
import random
import re
from functools import cache

GROUP = re.compile(r"\(([^()]*)\)")
WORD = re.compile(r"[\w{}'./+*-]*[\w{}+*-]")
HELD_OUT_SHARE = 0.15
FAMILIAR = frozenset(
    "hello;hi;hey;say hello;who are you;what are you;what can you do;how are you;thank you;thanks;goodbye;bye"
    ";tell me a joke;write a haiku;what is bodhi_asgi;how do i mount it;how do i mount bodhi_asgi;count to {n}"
    ";count from {m} to {n};what is the capital of {x};repeat after me {w};echo {w};what is the weather in {x}"
    ";what time is it in {x};what is {a} plus {b};what is {a} + {b};my name is {x};what is my name".split(";")
)
"""What everybody asks first is trained on, wherever its hash would put it."""

OPENINGS = (
    "hi, ",
    "hello, ",
    "hey, ",
    "so, ",
    "ok, ",
    "please: ",
    "quick question: ",
    "and now: ",
    "well, ",
    "question: ",
)
ENDINGS = (" please", ", please", " thanks", "!")
AROUND = re.compile(r"^( (hi|hello|hey|so|ok|please|quick question|and now|well|question))+ |( (please|thanks))+ $")
PROPER = {
    name.lower(): name
    for name in (
        "I I'm JSON Python Django FastAPI Starlette ASGI OpenAI SQLite PostgreSQL MIT API URL HTTP GGUF ChatGPT GPT LLM"
        " Hamlet Macbeth Romeo Juliet Monday German French Spanish Italian Chinese Hindi Latin Russian English"
    ).split()
}
"""How names are written in the sentences whose writer cares; the patterns have them in small letters."""
PROPER_WORD = re.compile(r"\b(" + "|".join(sorted(PROPER, key=len, reverse=True)) + r")\b")
Patterns = tuple[str, ...]


@cache
def expand(pattern: str) -> tuple[str, ...]:
    """All sentences of a pattern."""
    match = GROUP.search(pattern)
    if match is None:
        return (re.sub(r" +(?=[?.!,]|$)", "", re.sub(r" +", " ", pattern)).strip(),)
    found: list[str] = []
    for choice in match.group(1).split("|"):
        found += expand(pattern[: match.start()] + choice + pattern[match.end() :])
    return tuple(dict.fromkeys(found))


def bare(sentence: str) -> str:
    """The words of a sentence alone, so that a comma or capital does not make a new phrasing."""
    return " ".join(WORD.findall(sentence.lower()))


def core(sentence: str) -> str:
    """The words of a sentence without those that :func:`typed` may put around it."""
    inner = AROUND.sub(" ", f" {bare(sentence)} ")
    return inner.strip()


@cache
def sides(patterns: Patterns) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """The sentences of each pattern that are trained on, and those held out; patterns without any are left out.

    What differs from a trained sentence only by an opening or an ending, is in neither.
    """
    trained: list[list[str]] = []
    held: list[list[str]] = []
    for pattern in patterns:
        trained.append([])
        held.append([])
        for sentence in expand(pattern):
            digest = hashlib.sha256(bare(sentence).encode()).digest()
            is_held = digest[0] < HELD_OUT_SHARE * 256 and bare(sentence) not in FAMILIAR
            (held if is_held else trained)[-1].append(sentence)
    known = {word for sentences in trained for sentence in sentences for word in bare(sentence).split()}
    for index, sentences in enumerate(held):
        strange = [sentence for sentence in sentences if not known.issuperset(bare(sentence).split())]
        trained[index] += strange
        held[index] = [sentence for sentence in sentences if sentence not in strange]
    both = {core(sentence) for sentences in trained for sentence in sentences}
    held = [[sentence for sentence in sentences if core(sentence) not in both] for sentences in held]
    return tuple(tuple(s) for s in trained if s), tuple(tuple(s) for s in held if s)


def has_held_out(patterns: Patterns) -> bool:
    """Whether any sentence of the patterns is held out."""
    return bool(sides(patterns)[1])


def phrase(rng: random.Random, patterns: Patterns, held: bool) -> str:
    """One sentence, each pattern weighted by the root of its size."""
    groups = sides(patterns)[held]
    return rng.choice(rng.choices(groups, [len(group) ** 0.5 for group in groups])[0])


def proper(sentence: str) -> str:
    """The sentence with its names as they are written."""
    return PROPER_WORD.sub(lambda match: PROPER[match.group()], sentence)


def order(rng: random.Random, patterns: Patterns, held: bool) -> str:
    """A sentence of a system message, which is written with care."""
    sentence = proper(phrase(rng, patterns, held))
    return sentence[:1].upper() + sentence[1:]


def typed(rng: random.Random, sentence: str, ending: bool = True) -> str:
    """The sentence as people type it: with and without capitals, marks and a few words around it."""
    if rng.random() < 0.7:
        sentence = proper(sentence)
    is_long = len(sentence.split()) > 2
    if rng.random() < 0.18:
        sentence = sentence.rstrip("?.!")
        if ending and is_long and rng.random() < 0.5:
            sentence += rng.choice(ENDINGS)
    if is_long and rng.random() < 0.15:
        sentence = rng.choice(OPENINGS) + sentence
    if rng.random() < 0.75 and not sentence.startswith("{"):
        sentence = sentence[:1].upper() + sentence[1:]
    return sentence


def ask(rng: random.Random, patterns: Patterns, held: bool, ending: bool = True, **values: object) -> str:
    """A sentence as people type it, with its places filled."""
    sentence = typed(rng, phrase(rng, patterns, held), ending)
    for name, value in values.items():
        sentence = sentence.replace(f"{{{name}}}", str(value))
    return sentence
