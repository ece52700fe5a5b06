"""No web server at all: a script that asks several questions at once, answered in one batch.

python examples/no_http.py
"""

import asyncio
import sys

from bodhi_asgi import BodhiServer

QUESTIONS = ["What is the capital of France?", "What is the capital of Italy?", "Who are you?"]


async def main(questions: list[str]) -> None:
    async with BodhiServer() as bodhi:

        async def ask(question: str) -> str:
            messages = [{"role": "user", "content": question}]
            reply = await bodhi.chat_completion({"model": "demo", "messages": messages}, stream=False)
            return reply.choices[0].message.content

        answers = await asyncio.gather(*map(ask, questions))
    for question, answer in zip(questions, answers, strict=True):
        print(f"{question} {answer}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or QUESTIONS))
