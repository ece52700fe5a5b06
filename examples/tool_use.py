"""A model that uses a tool: OpenAI's own client, a call, its result, and an answer in words, streamed.

    bodhi serve
    OPENAI_BASE_URL=http://127.0.0.1:1135/v1 OPENAI_API_KEY=sk-bodhiapp_... python examples/tool_use.py

The arguments of a call satisfy the tool's schema, however small the model: they can be used as they come.
"""

import json
import sys
from typing import Any

from openai import OpenAI

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Get the weather in a city", "parameters": CITY}


def get_weather(city: str) -> dict[str, Any]:
    return {"weather": "sunny" if city == "Rome" else "rainy", "temperature": 12}


def main(question: str) -> None:
    client = OpenAI()
    asked: dict[str, Any] = {"model": "demo", "tools": [{"type": "function", "function": WEATHER}], "temperature": 0}
    messages: list[Any] = [{"role": "user", "content": question}]
    message = client.chat.completions.create(messages=messages, **asked).choices[0].message
    messages.append(message)
    for call in message.tool_calls or ():
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    for chunk in client.chat.completions.create(messages=messages, stream=True, **asked):
        print(chunk.choices[0].delta.content or "", end="")
    print()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "What is the weather in Paris?")
