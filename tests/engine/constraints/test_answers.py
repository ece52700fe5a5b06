"""Constrained answers over both isolations, by the real model: what is asked for holds, or the request is refused."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import ConstraintFailed, ConstraintInvalid
from bodhi_asgi.engine.types import Engine
from bodhi_asgi.messages.answers import FinishReason
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, Sampling
from tests.engine.constraints.hostile import HARD, REFUSED
from tests.engine.support import LLAMA, becomes_idle, deltas_of, text_of, work

ASK = "What is bodhi_asgi?"
HOT = Sampling(temperature=2, top_k=0, top_p=1, min_p=0, seed=7)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 3, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


def schema(value: Any) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(value))


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Engine]:
    if request.param == "thread":
        thread = ThreadEngine(LLAMA)
        await thread.start()
        yield thread
        await thread.aclose()
    else:
        folder: Path = tmp_path_factory.mktemp("r")
        process = ProcessEngine(LLAMA, runtime_dir=folder, linger_s=0.0)
        await process.start()
        yield process
        await process.aclose(terminate=True)


SAMPLINGS = {
    "greedy": Sampling(temperature=0),
    "hot": HOT,
    "xtc": replace(HOT, xtc_probability=1, xtc_threshold=0.001),
    "mirostat": Sampling(temperature=2, seed=7, mirostat=2, mirostat_tau=8),
    "dry": replace(HOT, dry_multiplier=5, top_n_sigma=2, dynatemp_range=1),
}


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS.keys())
async def test_an_answer_satisfies_its_schema_and_ends_by_itself(engine: Engine, sampling: Sampling) -> None:
    deltas = await deltas_of(engine, work(ASK, constraint=schema(PERSON), sampling=sampling))
    jsonschema.validate(json.loads("".join(delta.text for delta in deltas)), PERSON)
    assert deltas[-1].finish is FinishReason.STOP


async def test_a_json_object_is_one_or_is_cut_by_its_length(engine: Engine) -> None:
    constraint = Constraint(ConstraintKind.JSON_OBJECT)
    deltas = await deltas_of(engine, work("Answer with JSON", constraint=constraint, max_tokens=4))
    assert deltas[-1].finish is FinishReason.LENGTH
    assert "".join(delta.text for delta in deltas).startswith("{")


@pytest.mark.parametrize(
    ("kind", "source", "pattern"),
    [
        (ConstraintKind.REGEX, r"[0-9]{3}/[a-f]\"+", r'[0-9]{3}/[a-f]"+'),
        (
            ConstraintKind.CHOICE,
            json.dumps(["yes", "no", 'a "quoted"\nline', "é\u2028😀"]),
            r'yes|no|a "quoted"\nline|é\u2028😀',
        ),
        (ConstraintKind.LARK, 'start: "x" pair\npair: A A\nA: /[ab]/', "x[ab][ab]"),
        (ConstraintKind.GBNF, 'root ::= "x" pair # two\npair ::= [ab] [ab]', "x[ab][ab]"),
    ],
    ids=["regex", "choice", "lark", "gbnf"],
)
async def test_every_notation_holds(engine: Engine, kind: ConstraintKind, source: str, pattern: str) -> None:
    for sampling in (Sampling(temperature=0), HOT):
        text = await text_of(engine, work(ASK, constraint=Constraint(kind, source), sampling=sampling, max_tokens=60))
        assert re.fullmatch(pattern, text), text


async def test_what_cannot_be_enforced_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(ConstraintInvalid, match="'not'") as refused:
        await text_of(engine, work(ASK, constraint=schema({"not": {}})))
    assert refused.value.param == "response_format"
    assert refused.value.status == 400
    assert await text_of(engine, work(ASK))


async def test_nothing_that_a_client_sends_ends_or_stalls_the_engine(engine: Engine) -> None:
    before = await text_of(engine, work(ASK))
    for name, (constraint, words) in REFUSED.items():
        with pytest.raises(ConstraintInvalid, match=words) as refused:
            await text_of(engine, work(ASK, constraint=constraint))
        assert refused.value.param == constraint.param, name
    for constraint in HARD.values():
        with suppress(ConstraintInvalid, ConstraintFailed):
            async with asyncio.timeout(30):
                await deltas_of(engine, work(ASK, constraint=constraint, max_tokens=12))
    assert await text_of(engine, work(ASK)) == before
    await becomes_idle(engine)


async def test_a_dead_end_is_an_error_and_no_answer(engine: Engine) -> None:
    endless = Constraint(ConstraintKind.LARK, 'start: "x" a\na: "y" a', "guided_grammar")
    with pytest.raises(ConstraintFailed, match="guided_grammar"):
        await text_of(engine, work(ASK, constraint=endless))
    await becomes_idle(engine)


async def test_many_at_once_keep_to_their_own_constraints(engine: Engine) -> None:
    async def ask(number: int) -> None:
        pattern = rf"{number}-[a-z]{{{number + 1}}}"
        constraint = Constraint(ConstraintKind.REGEX, pattern)
        text = await text_of(engine, work(ASK, constraint=constraint, sampling=HOT))
        assert re.fullmatch(pattern, text), text

    free, *_ = await asyncio.gather(text_of(engine, work(ASK)), *(ask(number) for number in range(9)))
    assert free == await text_of(engine, work(ASK))
    await becomes_idle(engine)


async def test_stop_strings_biases_and_penalties_go_with_constraints(engine: Engine) -> None:
    letters = Constraint(ConstraintKind.REGEX, "[a-z ]{40}")
    whole = await text_of(engine, work(ASK, constraint=letters))
    assert re.fullmatch("[a-z ]{40}", whole)
    stopped = await text_of(engine, work(ASK, constraint=letters, stop=(whole[10:13],)))
    assert stopped == whole.partition(whole[10:13])[0]
    shaped = Sampling(temperature=1, seed=3, repeat_penalty=1.5, typical_p=0.3, logit_bias=((5, -100.0), (300, 50.0)))
    for _ in range(2):
        text = await text_of(engine, work(ASK, constraint=letters, sampling=shaped))
        assert re.fullmatch("[a-z ]{40}", text), text


async def test_a_constraint_that_is_fulfilled_ends_an_answer_that_may_not_end_yet(engine: Engine) -> None:
    three = Constraint(ConstraintKind.REGEX, "[a-z]{3}")
    for changes in ({"min_tokens": 9}, {"ignore_eos": True, "max_tokens": 9}):
        assert re.fullmatch("[a-z]{3}", await text_of(engine, work(ASK, constraint=three, sampling=HOT, **changes)))


async def test_a_seed_gives_the_same_constrained_answer_again(engine: Engine) -> None:
    asked = {"constraint": schema(PERSON), "sampling": HOT}
    assert await text_of(engine, work(ASK, **asked)) == await text_of(engine, work(ASK, **asked))


async def test_leaving_while_a_constraint_is_compiled_leaves_nothing_behind(engine: Engine) -> None:
    async with aclosing(engine.submit(work(ASK, constraint=schema(PERSON)))) as stream:  # type: ignore[type-var]
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await becomes_idle(engine)
    assert await text_of(engine, work(ASK))


async def test_leaving_at_any_moment_of_the_compiling_leaves_nothing_behind(engine: Engine) -> None:
    dice = random.Random(3)

    async def leave(number: int) -> None:
        constraint = Constraint(ConstraintKind.REGEX, f"[a-z]{{{number + 1}}} and then for ever [a-z]{{900}}")
        with suppress(TimeoutError):
            async with asyncio.timeout(dice.uniform(0, 0.05)):
                await text_of(engine, work(ASK, constraint=constraint, max_tokens=400))

    for first in range(0, 60, 6):
        await asyncio.gather(*(leave(first + number) for number in range(6)))
    await becomes_idle(engine)
    assert await text_of(engine, work(ASK))
