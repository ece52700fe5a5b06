"""Questions that the vocabulary answers by itself: tokens of a text, text of tokens, a conversation as it is rendered.

Long answers leave in pieces, so that none is larger than a frame of the engine's socket.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from bodhi_asgi.engine import sizes
from bodhi_asgi.engine.errors import ContextLengthExceeded
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.sizes import MAX_BYTES_PER_TOKEN, MAX_PROMPT_BYTES, check_size, checked
from bodhi_asgi.engine.types import Chunk, ModelFacts, TextWork
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.answers import FinishReason, TokenIds, Usage
from bodhi_asgi.messages.conversation import ChatPrompt, TextPrompt
from bodhi_asgi.messages.reading import DetokenizeRequest, TokenizeRequest

PIECE_CHARS: Final = 128 * 1024
PIECE_TOKENS: Final = 4096


def is_long(work: TextWork) -> bool:
    """Whether running streams would feel it if this was answered between two of their steps."""
    request = work.request
    return (
        len(request.tokens) > PIECE_TOKENS if isinstance(request, DetokenizeRequest) else sizes.is_long(request.prompt)
    )


def answer(work: TextWork, vocabulary: Vocabulary, facts: ModelFacts) -> list[Chunk]:
    """All chunks of the answer, the last one final; what is wrong with the question is its only one."""
    request = work.request
    longest = max(facts.n_ctx, facts.longest_text)
    try:
        if isinstance(request, DetokenizeRequest):
            return list(_text(work, _detokenized(request, vocabulary, longest), len(request.tokens)))
        check_size(request.prompt, None, longest)
        if request.wants == "text":
            assert isinstance(request.prompt, ChatPrompt), "only a conversation is rendered"
            return list(_text(work, vocabulary.render(request.prompt), 0))
        return list(_tokens(work, request, vocabulary))
    except BodhiError as error:
        return [Chunk(work.id, error=error)]


def _tokens(work: TextWork, request: TokenizeRequest, vocabulary: Vocabulary) -> Iterator[Chunk]:
    prompt = request.prompt
    if isinstance(prompt, TextPrompt):
        tokens = vocabulary.tokens(prompt.text, add_special=request.add_special, parse_special=request.parse_special)
    else:
        tokens = vocabulary.encode(prompt)
    spell = cache(vocabulary.spelled)
    if request.wants in ("tokens", "pieces"):
        for begin in range(0, len(tokens), PIECE_TOKENS):
            ids = tuple(tokens[begin : begin + PIECE_TOKENS])
            spelled = map(spell, ids) if request.wants == "pieces" else ()
            yield Chunk(work.id, part=TokenIds(ids, tuple(piece.decode("utf-8", "replace") for piece in spelled)))
    yield _last(work, len(tokens))


def _detokenized(request: DetokenizeRequest, vocabulary: Vocabulary, longest: int) -> str:
    # As many as a text has at most that may be tokenised: nobody else has his turn meanwhile.
    limit = MAX_BYTES_PER_TOKEN * longest
    if len(request.tokens) > limit:
        raise ContextLengthExceeded(
            f"there are {len(request.tokens)} tokens; of a context of {longest} tokens at most {limit} are taken",
            param="tokens",
        )
    spell = cache(vocabulary.spelled)
    pieces: list[bytes] = []
    size = 0
    for token in checked(request.tokens, len(vocabulary)):
        pieces.append(spell(token))
        size += len(pieces[-1])
        if size > MAX_PROMPT_BYTES:
            raise ContextLengthExceeded(f"the tokens' text has more than {MAX_PROMPT_BYTES} bytes", param="tokens")
    return b"".join(pieces).decode("utf-8", "replace")


def _text(work: TextWork, text: str, tokens: int) -> Iterator[Chunk]:
    for begin in range(0, len(text), PIECE_CHARS):
        yield Chunk(work.id, text[begin : begin + PIECE_CHARS])
    yield _last(work, tokens)


def _last(work: TextWork, tokens: int) -> Chunk:
    return Chunk(work.id, finish=FinishReason.STOP, usage=Usage(tokens, 0))
