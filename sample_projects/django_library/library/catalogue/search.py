"""Finding books: by what they are about where there is an embedding model, by their words everywhere else.

It is plain synchronous code, for sync views; async ones call it with ``sync_to_async``.
"""

import re
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db.models import Case, IntegerField, Q, Value, When

from bodhi_asgi import BodhiError
from bodhi_django import DjangoBodhi
from library.catalogue.models import Book

AT_ONCE = 64
"""Books that are read with one call."""

MOST_WORDS = 12
LEAST_LIKENESS = 0.25
IDLE = """about all and any are book books can could find for have how library like looking read recommend some
something tell that the there this want was what when where which who why with would written wrote you your"""
"""Words of questions that say nothing of books."""


@dataclass(frozen=True)
class Found:
    """Books, the best first, and what the reader should know of how they were found."""

    books: list[Book]
    remark: str = ""


def find(question: str, most: int, bodhi: DjangoBodhi | None = None) -> Found:
    """The books that fit a question best. Without ``bodhi`` no model is asked."""
    if bodhi is None or not settings.EMBEDDING_MODEL:
        return Found(by_words(question, most))
    try:
        return Found(by_meaning(question, most, bodhi))
    except BodhiError as error:
        return Found(by_words(question, most), f"By words this time: {error.message}.")


def by_words(question: str, most: int) -> list[Book]:
    """Books with most of the words, in any form that begins alike."""
    words = [word for word in re.findall(r"\w{3,}", question.lower()) if word not in IDLE.split()][:MOST_WORDS]
    score = Value(0)
    for stem in {word.rstrip("s") or word for word in words}:
        has = Q(title__icontains=stem) | Q(author__icontains=stem) | Q(about__icontains=stem)
        score += Case(When(has, then=1), default=0, output_field=IntegerField())
    return list(Book.objects.alias(score=score).filter(score__gt=0).order_by("-score", "title")[:most])


def by_meaning(question: str, most: int, bodhi: DjangoBodhi) -> list[Book]:
    """Books whose vectors are nearest. Thousands are compared in a millisecond, so there is no index to keep."""
    read_new(bodhi)
    (asked,) = vectors(bodhi, [question])
    near = {
        pk: float(np.frombuffer(vector, "<f4") @ asked)
        for pk, vector in Book.objects.filter(vector_model=settings.EMBEDDING_MODEL).values_list("pk", "vector")
    }
    best = sorted((pk for pk in near if near[pk] >= LEAST_LIKENESS), key=lambda pk: -near[pk])[:most]
    books = Book.objects.in_bulk(best)
    return [books[pk] for pk in best if pk in books]


def read_new(bodhi: DjangoBodhi) -> None:
    """Make the vectors that are missing: of books that changed, or of all after another model was chosen."""
    while unread := list(Book.objects.exclude(vector_model=settings.EMBEDDING_MODEL)[:AT_ONCE]):
        texts = [f"{book.title} by {book.author}. {book.about}" for book in unread]
        for book, vector in zip(unread, vectors(bodhi, texts), strict=True):
            book.vector, book.vector_model = vector.tobytes(), settings.EMBEDDING_MODEL
        Book.objects.bulk_update(unread, ["vector", "vector_model"])


def vectors(bodhi: DjangoBodhi, texts: list[str]) -> list[np.ndarray]:
    answer = bodhi.embeddings({"model": settings.EMBEDDING_MODEL, "input": texts})
    return [np.asarray(one.embedding, "<f4") for one in answer.data]
