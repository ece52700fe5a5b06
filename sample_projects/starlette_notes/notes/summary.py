"""Summaries: the model writes while the reader reads, and what it wrote is kept with the note."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bodhi_asgi import Bodhi, BodhiError
from notes.store import Note, Store

INSTRUCTIONS = "Summarise the user's note in one or two sentences. Answer with the summary and nothing else."
MOST_TOKENS = 200


async def summarise(bodhi: Bodhi, model: str, store: Store, note: Note) -> AsyncGenerator[str]:
    """The summary, word by word; kept when it is whole. Closing this stops the model. Raises BodhiError."""
    request = {
        "model": model,
        "messages": [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": f"{note.title}\n\n{note.body}"},
        ],
        "max_tokens": MOST_TOKENS,
        "temperature": 0,
    }
    text = ""
    async with await bodhi.chat_completion(request, stream=True) as chunks:
        async for chunk in chunks:
            for choice in chunk.choices:
                if choice.delta.content:
                    text += choice.delta.content
                    yield choice.delta.content
    await store.summarised(note, text.strip())


async def as_events(words: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The same as server-sent events: ``{"text": …}`` for each word, and at the end ``done`` or ``error``."""
    async with aclosing(words):
        try:
            async for word in words:
                yield event("message", text=word)
        except BodhiError as error:
            yield event("error", message=error.message)
        else:
            yield event("done")


def event(name: str, **data: str) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
