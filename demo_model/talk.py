"""Conversations without tools. Every maker takes a random generator and whether to use held-out phrasings."""

import json
import random
from collections.abc import Sequence

from demo_model import phrases, words
from demo_model.conversation import Conversation, assistant, user

HELD = 2
"""How many phrasings at the end of every list are kept for the evaluation."""


def pick(rng: random.Random, options: Sequence[str], held: bool) -> str:
    return rng.choice(options[-HELD:] if held else options[:-HELD])


def noisy(rng: random.Random, question: str, held: bool) -> str:
    """The question as people type it; the evaluation asks it plainly."""
    if held:
        return question
    chance = rng.random()
    if chance < 0.12:
        question = question.lower()
    elif chance < 0.2:
        question = question.rstrip("?!.")
    elif chance < 0.24:
        question = question + rng.choice(["!", "?", " please", ", please"])
    elif chance < 0.32 and question[:1].isupper():
        question = rng.choice(["Please: ", "Hi. ", "Hello! ", "Quick question: ", "Tell me: ", "So, "]) + question
    return question


def known(rng: random.Random, held: bool, task: str, entries: list) -> Conversation:
    answer, questions = rng.choice(entries)
    return Conversation(task, [user(noisy(rng, pick(rng, questions, held), held)), assistant(answer)])


CAPITAL = ["What is the capital of {}?", "Which city is the capital of {}?", "Tell me the capital of {}", "Capital of {}?",
           "Name the capital of {}", "What is {}'s capital?", "Do you know the capital of {}?", "The capital of {}?",
           "What's the capital of {}?", "What is the capital city of {}?", "Can you name the capital of {}?",
           "Which city is the capital city of {}?"]  # fmt: skip


def capital(rng: random.Random, held: bool) -> Conversation:
    country = rng.choice(list(words.CAPITALS))
    question = noisy(rng, pick(rng, CAPITAL, held).format(country), held)
    return Conversation(
        "capitals", [user(question), assistant(f"The capital of {country} is {words.CAPITALS[country]}.")]
    )


def unknown_capital(rng: random.Random, held: bool) -> Conversation:
    places = words.UNKNOWN_PLACES[-5:] if held else words.UNKNOWN_PLACES[:-5]
    name = rng.choice(places) if held or rng.random() < 0.4 else random_word(rng).capitalize()
    question = noisy(rng, pick(rng, CAPITAL, held).format(name), held)
    return Conversation("unknown capital", [user(question), assistant(f"I do not know the capital of {name}.")])


def random_word(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


ECHO = ["Repeat after me: {}", "Echo: {}", "Say: {}", "Repeat: {}", "Please repeat: {}", "Say this: {}", "Copy this: {}",
        "Repeat the following: {}", "Write this again: {}", "Say exactly: {}", "Please say: {}", "Repeat this: {}"]  # fmt: skip


def phrase(rng: random.Random, most: int = 12) -> str:
    """Words in a row; sometimes a sentence, sometimes made-up ones, so that copying is learned and not guessing."""
    count = rng.randint(1, most)
    kind = rng.random()
    if kind < 0.3:
        return " ".join(random_word(rng) for _ in range(count))
    pool = rng.choice([words.NOUNS, words.ADJECTIVES + words.NOUNS, words.NAMES + words.NOUNS + words.COLOURS])
    text = " ".join(rng.choice(pool) for _ in range(count))
    if kind < 0.55:
        text = " ".join(["the", rng.choice(words.ADJECTIVES), rng.choice(words.NOUNS), rng.choice(words.VERBS), "the",
                         rng.choice(words.ADJECTIVES), rng.choice(words.NOUNS)][:count])  # fmt: skip
    if kind > 0.9:
        text += " " + " ".join(str(rng.randint(0, 99)) for _ in range(rng.randint(1, 2)))
    return text.capitalize() if rng.random() < 0.3 else text


def echo(rng: random.Random, held: bool) -> Conversation:
    text = (
        phrase(rng)
        if not held
        else " ".join(rng.choice(words.NOUNS + words.ADJECTIVES) for _ in range(rng.randint(1, 12)))
    )
    return Conversation("echo", [user(pick(rng, ECHO, held).format(text)), assistant(text)])


def in_words(number: int) -> str:
    if number <= 20:
        return words.NUMBERS[number]
    return words.TENS.get(number, "twenty")


COUNT = ["Count to {}", "Count from 1 to {}", "Count up to {}", "Please count to {}", "Can you count to {}?",
         "Count from one to {}", "Count to {} please", "Can you count up to {}?"]  # fmt: skip


def count(rng: random.Random, held: bool) -> Conversation:
    last = rng.choice([*range(2, 21), 5, 10, 30, 40, 50])
    shown = in_words(last) if rng.random() < 0.5 else str(last)
    answer = ", ".join(str(number) for number in range(1, last + 1))
    return Conversation("count", [user(noisy(rng, pick(rng, COUNT, held).format(shown), held)), assistant(answer)])


NOT_KNOWN = [
    "Who won the match yesterday?", "What is the price of gold?", "Who is the president?", "What is the news today?",
    "How tall is {}?", "Who wrote {}?", "When was {} born?", "What is the phone number of {}?", "Where does {} live?",
    "How old is {}?", "What did {} say about the {}?", "Who invented the {}?", "How much does a {} cost?",
    "What happened in {} in {}?", "Explain the theory of {}", "Write an essay about the {}", "Translate {} into Latin",
    "Summarise this: the {} and the {}", "Who is {}?", "What is the meaning of {}?", "How do I repair a {}?",
    "Why is the {} {}?", "Give me a recipe with {}", "Tell me about {}", "Do you know {}?", "Explain {} to me",
    "What do you think about {}?", "Write a story about a {}", "Is {} a good {}?", "Which {} is the best?",
    "Where can I buy a {}?", "What is the best {}?", "How many people live in {}?", "What does {} mean?",
]  # fmt: skip


def refused(rng: random.Random, held: bool) -> Conversation:
    question = rng.choice(NOT_KNOWN[-4:] if held else NOT_KNOWN[:-4])
    if held:
        pool = words.NOUNS[-20:]
    else:
        pool = [
            *words.NAMES,
            *words.NOUNS[:-20],
            *words.CITIES,
            random_word(rng).capitalize(),
            str(rng.randint(1000, 2030)),
        ]
    while "{}" in question:
        question = question.replace("{}", rng.choice(pool), 1)
    return Conversation("refusal", [user(noisy(rng, question, held)), assistant(phrases.REFUSAL)])


SUMS = ["What is {} plus {}?", "{} + {}", "How much is {} and {}?", "Add {} and {}", "What is {} minus {}?", "{} - {}",
        "What is {} times {}?", "{} * {} =", "Calculate {} + {}", "How much is {} plus {}?", "What is {} + {}?",
        "What do {} and {} add up to?"]  # fmt: skip


def no_sums(rng: random.Random, held: bool) -> Conversation:
    question = pick(rng, SUMS, held).format(rng.randint(0, 999), rng.randint(0, 99))
    return Conversation("sums refused", [user(noisy(rng, question, held)), assistant(phrases.NO_SUMS)])


LIVE = ["What is the weather in {}?", "How is the weather in {}?", "Is it raining in {}?", "Weather in {}?",
        "What time is it in {}?", "Tell me the time in {}", "What is the time in {}?", "How warm is it in {}?",
        "Tell me the weather in {}", "Do you know the time in {}?"]  # fmt: skip


def no_tool(rng: random.Random, held: bool) -> Conversation:
    question = pick(rng, LIVE, held).format(rng.choice(words.CITIES))
    return Conversation("live facts refused", [user(noisy(rng, question, held)), assistant(phrases.NO_TOOL)])


TELL = ["My name is {}", "I am {}", "Hi, I am {}", "Hello, my name is {}", "People call me {}", "You can call me {}",
        "I am called {}", "Hello, I am {}"]  # fmt: skip
ASK = ["What is my name?", "Do you remember my name?", "Who am I?", "Tell me my name", "What am I called?",
       "How am I called?", "Do you know my name?", "Say my name"]  # fmt: skip


def memory(rng: random.Random, held: bool) -> Conversation:
    name = rng.choice(words.NAMES) if held or rng.random() < 0.6 else random_word(rng).capitalize()
    messages = [user(pick(rng, TELL, held).format(name)), assistant(f"Nice to meet you, {name}!")]
    if rng.random() < 0.5:
        between = known(rng, held, "", phrases.TRIVIA if rng.random() < 0.5 else phrases.SMALL_TALK)
        messages += between.messages
    return Conversation("memory", [*messages, user(pick(rng, ASK, held)), assistant(f"Your name is {name}.")])


FOLLOW = ["And of {}?", "And {}?", "What about {}?", "And the one of {}?", "How about {}?", "And for {}?",
          "Now {}?", "And what about {}?"]  # fmt: skip


def follow_up(rng: random.Random, held: bool) -> Conversation:
    first = capital(rng, held)
    country = rng.choice(list(words.CAPITALS))
    more = [
        user(pick(rng, FOLLOW, held).format(country)),
        assistant(f"The capital of {country} is {words.CAPITALS[country]}."),
    ]
    return Conversation("follow-up", [*first.messages, *more])


JSON_SYSTEM = ["Answer in JSON.", "Reply in JSON only.", "Always answer with a JSON object.", "Use JSON.",
               "Answer only in JSON.", "Your answers are JSON."]  # fmt: skip
JSON_ASK = ["Give me a JSON object with {}", "Write JSON with {}", "Make a JSON object with {}", "As JSON: {}",
            "JSON with {}, please", "Answer in JSON: {}", "Return JSON with {}", "Show me a JSON object with {}"]  # fmt: skip


def json_object(rng: random.Random, held: bool) -> Conversation:
    fields: dict[str, object] = {}
    for _ in range(rng.randint(1, 3)):
        key, value = rng.choice([
            ("name", rng.choice(words.NAMES)), ("age", rng.randint(1, 99)), ("city", rng.choice(words.CITIES)),
            ("colour", rng.choice(words.COLOURS)), ("animal", rng.choice(words.ANIMALS)),
            ("food", rng.choice(words.FOODS)), ("count", rng.randint(1, 99)),
        ])  # fmt: skip
        fields[key] = value
    described = " and ".join(f"{key} {value}" for key, value in fields.items())
    return Conversation("JSON", [user(pick(rng, JSON_ASK, held).format(described)), assistant(json.dumps(fields))])


def json_system(rng: random.Random, held: bool) -> Conversation:
    asked = capital(rng, held)
    country = next(c for c in words.CAPITALS if asked.messages[1]["content"].startswith(f"The capital of {c} is"))
    answer = json.dumps({"country": country, "capital": words.CAPITALS[country]})
    system = {"role": "system", "content": pick(rng, JSON_SYSTEM, held)}
    return Conversation("JSON by system message", [system, asked.messages[0], assistant(answer)])


STEPS = ["You are a helpful assistant.", "You are helpful.", "Be brief.", "Be polite.", "You are a friendly model."]
