"""An answer that is a Python object: OpenAI's own client, a pydantic model, and a server that holds the model to it.

    bodhi serve
    OPENAI_BASE_URL=http://127.0.0.1:1135/v1 OPENAI_API_KEY=sk-bodhiapp_... python examples/structured_output.py

The schema is enforced while the model writes, token by token: what comes back always parses, however small the model.
"""

import sys
from typing import Literal

from openai import OpenAI
from pydantic import BaseModel, Field


class Pet(BaseModel):
    name: str = Field(max_length=20)
    kind: Literal["cat", "dog", "parrot"]
    age: int = Field(ge=0, le=99)


def main(question: str) -> None:
    client = OpenAI()
    answer = client.chat.completions.parse(
        model="demo",
        messages=[{"role": "user", "content": question}],
        response_format=Pet,
        temperature=0,
        max_tokens=200,
    )
    pet = answer.choices[0].message.parsed
    if pet is None:
        print("the answer was cut off")
    else:
        print(f"{pet.name} is a {pet.kind} and {pet.age} years old")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "Give me JSON with the name Nora, the kind cat and the age 7.")
