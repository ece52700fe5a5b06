"""Conversations with tools: call one, tell what it said, leave it alone when it is of no use."""

import json
import random
from typing import Any

from demo_model import phrases, words
from demo_model.conversation import Conversation, assistant, calling, user
from demo_model.talk import LIVE, SUMS, capital, echo, known, noisy, pick


def tool(name: str, description: str, properties: dict[str, str]) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool("get_weather", "Get the weather in a city", {"city": "string"})
TIME = tool("get_time", "Get the time in a city", {"city": "string"})
ADD = tool("add", "Add two numbers", {"a": "integer", "b": "integer"})
ALL = (WEATHER, TIME, ADD)

WEATHER_ASK, TIME_ASK = [q for q in LIVE if "time" not in q], [q for q in LIVE if "time" in q]
ADD_ASK = [q for q in SUMS if "minus" not in q and "times" not in q and " - " not in q and "*" not in q]
SKIES = "sunny cloudy rainy windy foggy snowy stormy clear".split()


def offered(rng: random.Random, needed: dict[str, Any]) -> list[dict[str, Any]]:
    others = [other for other in ALL if other is not needed]
    chosen = [needed, *rng.sample(others, rng.randint(0, 2))]
    rng.shuffle(chosen)
    return chosen


def request(rng: random.Random, held: bool) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A tool, a question that needs it, and its arguments."""
    city = rng.choice(words.CITIES)
    match rng.randint(0, 2):
        case 0:
            return WEATHER, pick(rng, WEATHER_ASK, held).format(city), {"city": city}
        case 1:
            return TIME, (rng.choice(TIME_ASK[-1:]) if held else rng.choice(TIME_ASK[:-1])).format(city), {"city": city}
    a, b = rng.randint(0, 999), rng.randint(0, 99)
    return ADD, pick(rng, ADD_ASK, held).format(a, b), {"a": a, "b": b}


def tool_call(rng: random.Random, held: bool) -> Conversation:
    needed, question, arguments = request(rng, held)
    call = calling(needed["function"]["name"], arguments)
    return Conversation("tool call", [user(noisy(rng, question, held)), call], offered(rng, needed))


def tool_result(rng: random.Random, held: bool) -> Conversation:
    needed, question, arguments = request(rng, held)
    name = needed["function"]["name"]
    if name == "get_weather":
        sky, degrees = rng.choice(SKIES), rng.randint(-9, 39)
        result: Any = {"weather": sky, "temperature": degrees}
        answer = f"It is {sky} in {arguments['city']}, with {degrees} degrees."
    elif name == "get_time":
        result = {"time": f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"}
        answer = f"It is {result['time']} in {arguments['city']}."
    else:
        result = {"result": arguments["a"] + arguments["b"]}
        answer = f"The result is {result['result']}."
    messages = [
        user(noisy(rng, question, held)),
        calling(name, arguments),
        {"role": "tool", "content": json.dumps(result)},
        assistant(answer),
    ]
    return Conversation("tool result", messages, offered(rng, needed))


def left_alone(rng: random.Random, held: bool) -> Conversation:
    made = rng.choice(
        [
            lambda: known(rng, held, "", phrases.SMALL_TALK),
            lambda: known(rng, held, "", phrases.LIBRARY),
            lambda: known(rng, held, "", phrases.TRIVIA),
            lambda: capital(rng, held),
            lambda: echo(rng, held),
        ]
    )()
    return Conversation("tools left alone", made.messages, rng.sample(ALL, rng.randint(1, 3)))
