"""Whatever the schema and however wild the sampling, what the model says is valid, or the schema was refused."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import ConstraintInvalid
from bodhi_asgi.messages.answers import FinishReason
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, Sampling
from tests.engine.constraints.schemas import schemas
from tests.engine.support import LLAMA, deltas_of, work

VALIDATOR = jsonschema.Draft202012Validator


class Asker:
    """An engine in an event loop of its own, for tests that are called many times."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._engine = ThreadEngine(LLAMA)
        self._runner.run(self._engine.start())

    def ask(self, schema: Any, sampling: Sampling) -> tuple[str, FinishReason | None]:
        constraint = Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema))
        asked = work("Answer with JSON", constraint=constraint, sampling=sampling, max_tokens=400)
        deltas = self._runner.run(deltas_of(self._engine, asked))
        return "".join(delta.text for delta in deltas), deltas[-1].finish

    def close(self) -> None:
        self._runner.run(self._engine.aclose())
        self._runner.close()


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    made = Asker()
    yield made
    made.close()


@settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(schema=schemas(), temperature=st.sampled_from([0.0, 1.0, 2.0]), seed=st.integers(0, 1000))
def test_an_answer_is_valid_or_cut_by_its_length(asker: Asker, schema: Any, temperature: float, seed: int) -> None:
    sampling = Sampling(temperature=temperature, seed=seed, top_k=0, top_p=1, min_p=0)
    try:
        text, finish = asker.ask(schema, sampling)
    except ConstraintInvalid as refused:
        # No value at all may satisfy parts that were drawn by chance.
        if not any(word in refused.message for word in ("nsatisfiable", "empty", "no text")):
            raise
        return
    if finish is FinishReason.STOP:
        VALIDATOR(schema, format_checker=VALIDATOR.FORMAT_CHECKER).validate(json.loads(text))
    else:
        assert finish is FinishReason.LENGTH
