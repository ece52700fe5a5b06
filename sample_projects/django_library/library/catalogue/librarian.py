"""The librarian: what the model is told of the catalogue, and its answer as it comes."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils.text import Truncator

from bodhi_asgi import BodhiError
from bodhi_django import DjangoBodhi
from library.catalogue.models import Book, Question

INSTRUCTIONS = (
    "You are the librarian of a small library. Answer in a few sentences, from these entries of the catalogue alone, "
    "and name the shelf. When none of them fits, say so."
)
MOST_BOOKS = 4
REMEMBERED = 2
"""Questions before this one that the model is told of."""


def messages(text: str, books: Sequence[Book], before: Sequence[Question]) -> list[dict[str, str]]:
    """The conversation for the model: the entries, what was said, and the question."""
    entries = [
        f"- {book.title} by {book.author}, {book.year}, shelf {book.shelf}. {Truncator(book.about).chars(300)}"
        for book in books
    ]
    turns = [
        {"role": role, "content": said}
        for one in before
        for role, said in (("user", one.text), ("assistant", one.answer))
    ]
    told = {"role": "system", "content": "\n".join([INSTRUCTIONS, *(entries or ["(no entry fits)"])])}
    return [told, *turns, {"role": "user", "content": text}]


async def answered(bodhi: DjangoBodhi, reader: User, text: str, books: Sequence[Book]) -> AsyncGenerator[str]:
    """The answer, word by word; it is kept when it is whole. Closing this stops the model. Raises BodhiError."""
    before = [question async for question in reader.questions.order_by("-pk")[:REMEMBERED]][::-1]
    request = {
        "model": settings.CHAT_MODEL,
        "messages": messages(text, books, before),
        "max_tokens": settings.LONGEST_ANSWER,
        "temperature": 0,
    }
    said = ""
    async with await bodhi.achat_completion(request, stream=True) as chunks:
        async for chunk in chunks:
            for choice in chunk.choices:
                if choice.delta.content:
                    said += choice.delta.content
                    yield choice.delta.content
    question = await reader.questions.acreate(text=text, answer=said.strip())
    await question.books.aset(books)


async def as_events(words: AsyncGenerator[str], books: Sequence[Book]) -> AsyncGenerator[str]:
    """The same as server-sent events: the ``books`` it is told of, each word, and at the end ``done`` or ``error``."""
    async with aclosing(words):
        yield event("books", [{"title": book.title, "url": book.get_absolute_url()} for book in books])
        try:
            async for word in words:
                yield event("word", word)
        except BodhiError as error:
            yield event("error", error.message)
        else:
            yield event("done", None)


def event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
