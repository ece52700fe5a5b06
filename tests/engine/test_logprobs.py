"""Log probabilities: what the model's own logits say, beside the text that they belong to."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.detokenizer import TextStream
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.plan import Drawn
from bodhi_asgi.engine.runners.echo import EchoVocabulary
from bodhi_asgi.engine.runners.logprobs import LEAST, logprobs
from bodhi_asgi.engine.scores import Scores
from bodhi_asgi.messages.answers import Delta, Logprobs, TokenLogprob
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import Sampling
from tests.engine.gguf_files import write_full_precision
from tests.engine.support import LLAMA, deltas_of, work

ASK = "What is bodhi_asgi?"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In full precision: what is rounded depends on who else is in the batch."""
    return write_full_precision(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "demo-f32.gguf")


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, model: Path, short_folder: Path) -> AsyncIterator[Any]:
    process, spec = request.param == "process", replace(LLAMA, path=str(model))
    made: Any = ProcessEngine(spec, runtime_dir=short_folder / "r", linger_s=0.0) if process else ThreadEngine(spec)
    await made.start()
    yield made
    await made.aclose(**({"terminate": True} if process else {}))


def scored(deltas: Sequence[Delta]) -> list[TokenLogprob]:
    return [one for delta in deltas if isinstance(delta.part, Logprobs) for one in delta.part.tokens]


async def test_every_token_of_an_answer_has_its_log_probability_and_the_likeliest(engine: Any) -> None:
    deltas = await deltas_of(engine, work(ASK, logprobs=5))
    tokens = scored(deltas)
    assert b"".join(one.piece for one in tokens).decode() == "".join(delta.text for delta in deltas)
    assert deltas[-1].usage is not None
    assert len(tokens) == deltas[-1].usage.completion_tokens
    for one in tokens:
        values = [other.logprob for other in one.top]
        assert len(values) == 5
        assert values == sorted(values, key=lambda value: -(value or 0.0))
        assert one.logprob == values[0], "greedy takes the likeliest"
        assert one.token == one.top[0].token
        assert sum(math.exp(value or 0.0) for value in values) <= 1.001


async def test_they_are_the_models_own_whatever_shapes_the_choice(engine: Any) -> None:
    plain = scored(await deltas_of(engine, work(ASK, logprobs=2, max_tokens=1)))[0]
    first, second = plain.top
    shaped = Sampling(temperature=0, logit_bias=((first.token, -100.0),), dry_multiplier=1)
    for changes in ({"sampling": shaped}, {"sampling": shaped, "min_tokens": 1}):
        forced = scored(await deltas_of(engine, work(ASK, logprobs=2, max_tokens=1, **changes)))[0]
        assert forced.token == second.token
        assert forced.logprob == pytest.approx(second.logprob, abs=0.1)
        assert [one.token for one in forced.top] == [first.token, second.token]


async def test_nobody_pays_for_what_he_did_not_ask_for(engine: Any) -> None:
    assert scored(await deltas_of(engine, work(ASK))) == []
    alone = scored(await deltas_of(engine, work(ASK, logprobs=0, max_tokens=4)))
    assert [one.top for one in alone] == [()] * 4


async def test_an_echo_tells_how_likely_the_prompt_was(engine: Any, exact_logits: Any) -> None:
    text = "What is bodhi_asgi? The capital of France is Paris. " * 3
    tokens, expected = exact_logits(text)
    assert len(tokens) > 40, "more than one step"
    for _ in range(2):  # what the first has left computed is not what the second needs
        asked = echo(text, logprobs=2, max_tokens=2)
        deltas = await deltas_of(engine, asked)
        assert "".join(delta.text for delta in deltas).startswith(text)
        prompt = scored(deltas)[: len(tokens)]
        assert [one.token for one in prompt] == tokens
        assert prompt[0].logprob is None
        assert [one.logprob for one in prompt[1:]] == pytest.approx(expected, abs=0.02)
        assert len(scored(deltas)) == len(tokens) + 2
        assert all(len(one.top) == 2 for one in prompt[1:])


async def test_prompts_are_scored_beside_answers_and_beside_each_other(engine: Any) -> None:
    texts = [f"The capital of France is {word}, and that is all there is to say" for word in ("Paris", "Rome", "Oslo")]
    alone = [scored(await deltas_of(engine, echo(text, logprobs=0, max_tokens=0))) for text in texts]
    asked = [echo(text, logprobs=0, max_tokens=0) for text in texts]
    together = await asyncio.gather(*(deltas_of(engine, one) for one in [*asked, work(ASK), work(ASK)]))
    for before, deltas in zip(alone, together, strict=False):
        after = [one.logprob for one in scored(deltas)[1:]]
        assert after == pytest.approx([one.logprob for one in before[1:]], abs=0.1)


def echo(text: str, **options: Any) -> Any:
    asked = work(text, echo=True, **options)
    return replace(asked, request=replace(asked.request, prompt=TextPrompt(text)))


@pytest.fixture
def exact_logits(model: Path) -> Any:
    """The tokens of a text, and how likely each but the first was, by the bindings' own class."""

    def compute(text: str) -> tuple[list[int], list[float]]:
        llama = llama_cpp.Llama(str(model), n_ctx=512, n_threads=1, logits_all=True, verbose=False)
        tokens = llama.tokenize(text.encode(), add_bos=True, special=False)
        llama.eval(tokens)
        logits = np.array(llama.scores[: len(tokens)], np.float64)
        llama.close()
        shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return tokens, [float(shares[place, token]) for place, token in enumerate(tokens[1:])]

    return compute


async def test_a_stop_string_takes_its_tokens_with_it(engine: Any) -> None:
    whole = "".join(delta.text for delta in await deltas_of(engine, work(ASK)))
    stop = whole[10:16]
    deltas = await deltas_of(engine, work(ASK, logprobs=0, stop=(stop,)))
    text = "".join(delta.text for delta in deltas)
    said = b"".join(one.piece for one in scored(deltas)).decode()
    assert text == whole.partition(stop)[0]
    assert said.startswith(text)
    last = scored(deltas)[-1].piece.decode()
    assert len(said) - len(last) < len(text), "of the last token at least a part is shown"


@given(st.text(st.sampled_from("ab\n é€🙂"), max_size=20), st.lists(st.integers(0, 99), max_size=12), st.booleans())
def test_a_chunk_has_the_tokens_whose_text_it_completes(text: str, places: list[int], stops: bool) -> None:
    data = text.encode()
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    pieces = [data[begin:end] for begin, end in pairwise(bounds)]
    vocabulary, stream, scores = EchoVocabulary(), TextStream(("b\n",) if stops else ()), Scores()
    shown, completed, pushed = "", b"", b""
    for piece in pieces:
        token = vocabulary._token(piece)
        begin = stream.pushed
        pushed += piece
        shown += stream.push(piece)
        scores.add(Drawn(token, -1.0), vocabulary, begin, stream)
        if stream.is_stopped:
            break
        if released := scores.release(stream):
            completed += b"".join(one.piece for one in released.tokens)
        assert shown.startswith(completed.decode(errors="ignore")), "no token comes before all of its text"
    if not stream.is_stopped:
        shown += stream.finish()
    left = scores.release_last(stream)
    completed += b"".join(one.piece for one in left.tokens) if left else b""
    assert pushed.startswith(completed)
    assert completed.decode(errors="ignore").startswith(shown)
    if not stops:
        assert completed == data


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=60), st.integers(0, 20), st.integers(0, 59))
def test_log_probabilities_are_those_of_the_definition(values: list[float], top: int, chosen: int) -> None:
    logits = np.array(values, np.float32)
    token = chosen % len(values)
    value, likeliest = logprobs(logits, token, top)
    exact = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
    assert value == pytest.approx(exact[token], abs=1e-4)
    assert [one for one, _ in likeliest] == list(np.argsort(-logits, kind="stable")[:top])
    assert [logprob for _, logprob in likeliest] == pytest.approx([exact[one] for one, _ in likeliest], abs=1e-4)


def test_what_has_no_probability_at_all_is_still_a_number() -> None:
    logits = np.array([0, -np.inf, 1], np.float32)
    assert logprobs(logits, 1, 3)[0] == LEAST
    assert logprobs(logits, 1, 3)[1][-1] == (1, LEAST)
