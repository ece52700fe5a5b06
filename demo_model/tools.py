"""Conversations with tools: call one, tell what it said, leave it alone when it is of no use."""

import json
import random
from typing import Any

from demo_model.conversation import Conversation, assistant, calling, user
from demo_model.grammar import ask
from demo_model.library import LIBRARY
from demo_model.questions import ADD as ADD_ASK
from demo_model.questions import NO_SUMS, NO_TOOL, city
from demo_model.questions import TIME as TIME_ASK
from demo_model.questions import WEATHER as WEATHER_ASK
from demo_model.small_talk import SMALL_TALK
from demo_model.talk import capital, count, echo, known, operand, refused
from demo_model.trivia import TRIVIA


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
SKIES = "sunny cloudy rainy windy foggy snowy stormy clear".split()


def varied(rng: random.Random, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema as somebody else writes it: without a description or the required names, or with other words."""
    if rng.random() < 0.7:
        return schema
    made = json.loads(json.dumps(schema))
    function = made["function"]
    match rng.randint(0, 3):
        case 0:
            del function["description"]
        case 1:
            del function["parameters"]["required"]
        case 2:
            function["description"] = function["description"].replace(" in a city", " of a city") + "."
        case 3:
            for value in function["parameters"]["properties"].values():
                value["type"] = value["type"].replace("integer", "number")
    return made


def offered(rng: random.Random, needed: dict[str, Any] | None, without: dict[str, Any] | None = None) -> list[Any]:
    """One to three tools in any order, with the one that is needed and not the one that must be missing."""
    others = [other for other in ALL if other not in (needed, without)]
    chosen = (
        [needed, *rng.sample(others, rng.randint(0, 2))] if needed else rng.sample(others, rng.randint(1, len(others)))
    )
    rng.shuffle(chosen)
    return [varied(rng, each) for each in chosen]


def request(rng: random.Random, held: bool) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """A tool, a question that needs it, and its arguments."""
    place = city(rng)
    match rng.randint(0, 2):
        case 0:
            return WEATHER, ask(rng, WEATHER_ASK, held, x=place), {"city": place}
        case 1:
            return TIME, ask(rng, TIME_ASK, held, x=place), {"city": place}
    a, b = operand(rng), operand(rng)
    return ADD, ask(rng, ADD_ASK, held, a=a, b=b), {"a": a, "b": b}


def tool_call(rng: random.Random, held: bool) -> Conversation:
    needed, question, arguments = request(rng, held)
    call = calling(needed["function"]["name"], arguments)
    return Conversation("tool call", [user(question), call], offered(rng, needed))


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
        user(question),
        calling(name, arguments),
        {"role": "tool", "content": json.dumps(result)},
        assistant(answer),
    ]
    return Conversation("tool result", messages, offered(rng, needed))


def left_alone(rng: random.Random, held: bool) -> Conversation:
    """Tools are offered, and the question needs none, or one that is not there."""
    if rng.random() < 0.2:
        needed, question, _ = request(rng, held)
        answer = NO_SUMS if needed is ADD else NO_TOOL
        return Conversation("tools left alone", [user(question), assistant(answer)], offered(rng, None, needed))
    makers = (
        lambda: known(rng, held, "", SMALL_TALK),
        lambda: known(rng, held, "", SMALL_TALK),
        lambda: known(rng, held, "", LIBRARY),
        lambda: known(rng, held, "", LIBRARY),
        lambda: known(rng, held, "", TRIVIA),
        lambda: capital(rng, held),
        lambda: echo(rng, held),
        lambda: count(rng, held),
        lambda: refused(rng, held),
    )
    return Conversation("tools left alone", rng.choice(makers)().messages, offered(rng, None))
