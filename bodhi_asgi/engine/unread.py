"""Chunks that wait for their reader: text that came faster than it was read is handed over in one piece."""

from collections import deque

from bodhi_asgi.engine.types import Chunk


def take(chunks: deque[Chunk]) -> tuple[Chunk, int]:
    """The first of ``chunks``, with the text of those behind it that are nothing but text, and how many it is made of.

    A reader that keeps up gets each chunk as it is. One that does not has less to do for each, and so catches up.
    """
    first = chunks.popleft()
    if not chunks or not _is_text(first):
        return first, 1
    texts = [first.text]
    while chunks and _is_text(chunks[0]):
        texts.append(chunks.popleft().text)
    return (Chunk(first.work_id, "".join(texts)), len(texts)) if len(texts) > 1 else (first, 1)


def _is_text(chunk: Chunk) -> bool:
    return bool(chunk.text) and not (chunk.is_final or chunk.part or chunk.opening)
