"""Texts that a model only reads: embeddings, ranks and tokens, asked for and answered."""

from dataclasses import dataclass
from typing import Literal

from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.messages.conversation import Prompt, TextPrompt, TokenPrompt


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts whose meaning is asked for as vectors of length one.

    ``dimensions`` keeps the first so many values of each, ``None`` all that the model has. ``keep_alive_s`` is as in
    :class:`~bodhi_asgi.messages.generation.GenerateRequest`.
    """

    model: str
    inputs: tuple[TextPrompt | TokenPrompt, ...]
    dimensions: int | None = None
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents, each to be judged by how well it answers the query."""

    model: str
    query: str
    documents: tuple[str, ...]
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A prompt as the model reads it. ``wants``: its tokens, these with the text of each, only their number,
    or the text of a rendered conversation.

    For bare text, ``add_special`` adds what the model begins and ends texts with, and ``parse_special`` takes the names
    of control tokens in it for the tokens themselves.
    """

    model: str
    prompt: Prompt
    wants: Literal["tokens", "pieces", "count", "text"]
    add_special: bool = True
    parse_special: bool = False


@dataclass(frozen=True, slots=True)
class DetokenizeRequest:
    """Tokens whose text is asked for, control tokens by their names."""

    model: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each input, as :class:`Vectors` keeps them, and the tokens that were read."""

    vectors: tuple[bytes, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Ranking:
    """For each document, in the request's order, how well it answers the query: from 0 to 1."""

    scores: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt's tokens; ``count`` of them, which is all that is known when only the number was asked for.

    ``n_ctx`` is how many the model's context holds, the answer included. ``pieces`` are the texts of the tokens.
    """

    ids: tuple[int, ...]
    count: int
    n_ctx: int
    pieces: tuple[str, ...] = ()
