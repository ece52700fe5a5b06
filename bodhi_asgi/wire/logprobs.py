"""Log probabilities in OpenAI's dialects: a token's text beside its own, and long lists of them written in pieces.

An answer may have hundreds of thousands of values. One call into a writer of JSON holds the interpreter until it
returns, so that no more than some tokens are written at a time, and nothing of ours is validated again.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from bodhi_asgi.messages.answers import Reply, TokenLogprob
from bodhi_asgi.types import JSON, JSONObject

TOKENS_AT_ONCE: Final = 64
SCORE_BYTES: Final = 64
"""About what one token with its probability takes in an answer."""


def token_text(one: TokenLogprob) -> str:
    """The token's text; bytes that are no text of their own are written out, so that two tokens never look alike."""
    try:
        return one.piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in one.piece)


def size_of(reply: Reply) -> int:
    """About how many bytes the whole answer takes."""
    return sum(
        len(answer.text) + len(answer.reasoning) + SCORE_BYTES * sum(1 + len(one.top) for one in answer.logprobs)
        for answer in reply.answers
    )


def list_json(items: Sequence[JSON]) -> bytes:
    """A list as JSON, written some items at a time."""
    pieces = (orjson.dumps(items[begin : begin + TOKENS_AT_ONCE]) for begin in range(0, len(items), TOKENS_AT_ONCE))
    return b"[" + b",".join(piece[1:-1] for piece in pieces) + b"]"


def reply_json(reply: JSONObject, scores: Sequence[bytes]) -> bytes:
    """A reply as JSON, whose choices have these, which are JSON already, as their ``logprobs``."""
    choices = reply.pop("choices")
    assert isinstance(choices, list), "a reply has a list of choices"
    written = (
        orjson.dumps({name: value for name, value in choice.items() if name != "logprobs"})[:-1]
        + b',"logprobs":'
        + score
        + b"}"
        for choice, score in zip(choices, scores, strict=True)
        if isinstance(choice, dict)
    )
    return orjson.dumps(reply)[:-1] + b',"choices":[' + b",".join(written) + b"]}"
