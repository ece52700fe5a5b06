"""Texts that cannot fit are refused before any tokenizer has worked on all of them."""

from dataclasses import replace
from typing import Any

import pytest

from bodhi_asgi.engine.errors import ContextLengthExceeded
from bodhi_asgi.engine.runners import llama_vocabulary
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.runners.llama_vocabulary import SLICE_CHARS, LlamaVocabulary
from bodhi_asgi.messages.conversation import ChatPrompt, InfillPrompt, Message, Prompt, Role, TextPrompt
from tests.engine.support import LLAMA

N_CTX = 4096
LONG = "\n" * 60_000


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    runner = LlamaRunner(replace(LLAMA, n_ctx=N_CTX))
    runner.load(lambda _: True)
    yield runner.vocabulary
    runner.unload()


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (TextPrompt(LONG), "prompt"),
        (InfillPrompt(LONG, ""), "prompt"),
        (ChatPrompt((Message(Role.USER, LONG),)), "messages"),
    ],
)
def test_what_cannot_fit_is_refused_piece_by_piece(
    vocabulary: LlamaVocabulary, monkeypatch: pytest.MonkeyPatch, prompt: Prompt, param: str
) -> None:
    sizes: list[int] = []
    tokenize = vocabulary._tokenize

    def counted(text: bytes, **options: bool) -> list[int]:
        sizes.append(len(text))
        return tokenize(text, **options)

    monkeypatch.setattr(vocabulary, "_tokenize", counted)
    with pytest.raises(ContextLengthExceeded, match=f"the context holds {N_CTX} with the answer") as refused:
        vocabulary.encode(prompt)
    assert refused.value.param == param
    assert sum(sizes) < len(LONG)
    assert max(sizes) <= 4 * SLICE_CHARS


def test_cutting_a_text_makes_no_more_tokens_than_is_allowed_for(vocabulary: LlamaVocabulary) -> None:
    for text in ("the quick brown fox 漢字 😀 jumps, over! " * 400, "a" * 20_000, " " * 20_000, "ä" * 20_000):
        whole = len(vocabulary.tokens(text, add_special=False, parse_special=False))
        for cut in (7, 64, 1000):
            parts = [text[begin : begin + cut] for begin in range(0, len(text), cut)]
            cuts = sum(len(vocabulary.tokens(part, add_special=False, parse_special=True)) for part in parts)
            assert cuts - llama_vocabulary.CUT_TOKENS * len(parts) <= whole


def test_only_a_tokenizer_that_is_slow_is_kept_from_counting_what_is_too_long(
    vocabulary: LlamaVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(vocabulary.tokens("word " * 12_000, add_special=False, parse_special=False)) > N_CTX
    monkeypatch.setattr(vocabulary, "_is_slow", True)
    with pytest.raises(ContextLengthExceeded):
        vocabulary.tokens("word " * 12_000, add_special=False, parse_special=False)
