"""No asyncio either: a plain script, whose answers are printed word by word.

python examples/sync_script.py
"""

import sys

from bodhi_asgi import BodhiApp

QUESTIONS = ["What is the capital of France?", "What is the capital of Italy?", "Who are you?"]


def main(questions: list[str]) -> None:
    with BodhiApp().sync() as bodhi:
        for question in questions:
            print(question, end=" ", flush=True)
            request = {"model": "demo", "messages": [{"role": "user", "content": question}]}
            # Leaving the block closes the stream, and a stream that is closed stops the model.
            with bodhi.chat_completion(request, stream=True) as chunks:
                for chunk in chunks:
                    print(*(choice.delta.content or "" for choice in chunk.choices), sep="", end="", flush=True)
            print()


if __name__ == "__main__":
    main(sys.argv[1:] or QUESTIONS)
