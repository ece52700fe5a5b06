"""Values and errors keep their meaning across the socket; what has the wrong shape is refused."""

import dataclasses
import hashlib
from dataclasses import fields, is_dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi import errors as shared_errors
from bodhi_asgi.engine import errors as engine_errors
from bodhi_asgi.engine.process.frames import FRAME_BYTES, FrameReader
from bodhi_asgi.engine.process.plain import PlainInvalid, from_plain
from bodhi_asgi.engine.process.protocol import (
    PROTOCOL_VERSION,
    chunk_frames,
    chunk_from_row,
    chunk_to_row,
    error_from_plain,
    error_to_plain,
    fingerprint,
    proof,
    proof_holds,
    work_from_plain,
)
from bodhi_asgi.engine.types import Chunk, EngineStats, ModelFacts, ModelSpec, Work
from bodhi_asgi.errors import BodhiError, Broken, MissingDependency
from bodhi_asgi.messages import answers, conversation, generation, reading
from bodhi_asgi.messages.answers import FinishReason, Logprobs, TokenLogprob, Usage
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False)
integer = st.integers(-(2**63), 2**63 - 1)
optional_number = st.none() | number
samplings = st.builds(
    Sampling,
    temperature=optional_number,
    top_p=optional_number,
    top_k=st.none() | integer,
    seed=st.none() | integer,
    logit_bias=st.lists(st.tuples(integer, number), max_size=3).map(tuple),
    mirostat=st.none() | integer,
    dry_multiplier=optional_number,
    dry_sequence_breakers=st.none() | st.lists(text, max_size=3).map(tuple),
)
prompts = st.builds(TextPrompt, text) | st.builds(
    ChatPrompt,
    st.lists(st.builds(Message, st.sampled_from(Role), text, st.none() | text), max_size=3).map(tuple),
)
works = st.builds(
    Work,
    text,
    st.builds(GenerateRequest, text, prompts, samplings, st.none() | integer, st.lists(text, max_size=3).map(tuple)),
    text,
    st.none() | number,
)


def over_the_wire(value: object) -> Any:
    return orjson.loads(orjson.dumps(value))


@given(works)
def test_a_request_arrives_as_it_was_sent(work: Work) -> None:
    assert work_from_plain(over_the_wire(work)) == work


@pytest.mark.parametrize(
    "value",
    [
        ModelSpec("demo", "/tmp/demo.gguf", n_ctx=256),
        ModelFacts(256, 512, 1000, "llama", {"general.name": "demo"}),
        EngineStats(running=3, steps=9),
    ],
)
def test_facts_specs_and_stats_arrive_as_they_were_sent(value: object) -> None:
    assert from_plain(type(value), over_the_wire(value)) == value


WORK = over_the_wire(Work("1", GenerateRequest("m", TextPrompt("hi"))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), 3),
        (("id",), None),
        (("deadline_s",), "soon"),
        (("deadline_s",), True),
        (("surprise",), 1),
        (("request",), []),
        (("request", "prompt"), {}),
        (("request", "prompt"), {"text": "a", "messages": []}),
        (("request", "prompt"), {"messages": [{"role": "oracle", "content": "a", "name": None}]}),
        (("request", "prompt"), {"messages": {}}),
        (("request", "sampling"), None),
        (("request", "sampling", "top_k"), 1.5),
        (("request", "sampling", "top_k"), False),
        (("request", "sampling", "logit_bias"), [[1]]),
        (("request", "sampling", "logit_bias"), [[1, 2, 3]]),
        (("request", "stop"), "text"),
        (("request", "max_tokens"), "many"),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused(path: tuple[str, ...], value: object) -> None:
    data = over_the_wire(WORK)
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(PlainInvalid):
        work_from_plain(data)


@pytest.mark.parametrize("data", [None, 1, "text", [], {}, {"id": "1"}])
def test_what_is_no_request_at_all_is_refused(data: object) -> None:
    with pytest.raises(PlainInvalid):
        work_from_plain(data)


def test_literals_and_dictionaries_are_checked_too() -> None:
    with pytest.raises(PlainInvalid):
        from_plain(ModelSpec, {"name": "m", "path": "p", "runner": "rm -rf"})
    with pytest.raises(PlainInvalid):
        from_plain(ModelFacts, {"n_ctx": 1, "n_vocab": 1, "metadata": {"a": 1}})
    with pytest.raises(PlainInvalid):
        from_plain(ModelFacts, {"n_ctx": 1, "n_vocab": 1, "metadata": []})


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk("4", "grüß"),
        Chunk("4", "", FinishReason.STOP, Usage(3, 4)),
        Chunk("4", "x", FinishReason.LENGTH, Usage(0, 0)),
        Chunk("4", "é", part=Logprobs((TokenLogprob(3, b"\xc3", -0.5, (TokenLogprob(4, b"\x00", 0.0),)),))),
        Chunk("4", "a", part=Logprobs((TokenLogprob(3, b"a", None),))),
    ],
)
def test_a_chunk_arrives_as_it_was_sent(chunk: Chunk) -> None:
    assert chunk_from_row(over_the_wire(chunk_to_row(4, chunk))) == chunk


@pytest.mark.parametrize(
    "row", [[1], [1, "a", "stop"], [1, "a", {}, 3], [1, "a", {"mood": "good"}], [1, "a", {"usage": {"tokens": 3}}]]
)
def test_a_row_of_another_shape_is_refused(row: list[Any]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError, PlainInvalid)):
        chunk_from_row(row)


def every_error() -> list[type[BodhiError]]:
    values = [value for module in (shared_errors, engine_errors) for value in vars(module).values()]
    kinds = {value for value in values if isinstance(value, type) and issubclass(value, BodhiError)}
    return sorted(kinds, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_error())
def test_every_error_arrives_as_its_own_class(kind: type[BodhiError]) -> None:
    if kind is MissingDependency:
        sent: BodhiError = MissingDependency("local models", "llama")
    else:
        sent = kind("it went wrong", param="messages.1", retry_after_s=2.5, limit=3)
    received = error_from_plain(over_the_wire(error_to_plain(sent)))
    assert issubclass(type(received), kind) or received.code == kind.code
    assert (received.code, received.kind, received.status) == (sent.code, sent.kind, sent.status)
    assert (received.message, received.param, received.retry_after_s) == (sent.message, sent.param, sent.retry_after_s)
    assert received.params == sent.params
    assert str(received) == str(sent)


def test_an_error_that_needs_more_than_a_message_keeps_it() -> None:
    received = error_from_plain(over_the_wire(error_to_plain(MissingDependency("local models", "llama"))))
    assert isinstance(received, MissingDependency)
    assert received.extra == "llama"


def test_an_unknown_code_arrives_as_broken() -> None:
    data = {**error_to_plain(Broken("oh")), "code": "from_the_future"}
    assert type(error_from_plain(data)) is Broken


def test_rows_that_fit_share_one_frame() -> None:
    frames = chunk_frames([[1, "a"], [2, "b"]])
    assert [list(FrameReader().feed(frame)) for frame in frames] == [[{"op": "chunks", "rows": [[1, "a"], [2, "b"]]}]]


def test_rows_that_do_not_fit_one_frame_are_spread() -> None:
    rows = [[number, "x" * (FRAME_BYTES // 3)] for number in range(5)]
    frames = chunk_frames(rows)
    assert len(frames) > 1
    received = [row for frame in frames for message in FrameReader().feed(frame) for row in message["rows"]]
    assert received == rows


def test_a_chunk_that_fits_no_frame_becomes_an_error_of_that_request_only() -> None:
    frames = chunk_frames([[1, "x" * (FRAME_BYTES + 1)], [2, "b"]])
    received = [row for frame in frames for message in FrameReader().feed(frame) for row in message["rows"]]
    assert [row[0] for row in received] == [1, 2]
    assert isinstance(chunk_from_row(received[0]).error, Broken)
    assert received[1] == [2, "b"]


def test_text_that_is_no_unicode_is_mended() -> None:
    (frame,) = chunk_frames([[1, "a\ud800b"], [2, "fine"]])
    (message,) = FrameReader().feed(frame)
    assert message["rows"] == [[1, "a?b"], [2, "fine"]]


def test_a_fingerprint_names_request_and_model() -> None:
    spec = ModelSpec("m", "p")
    request = GenerateRequest("m", TextPrompt("hi"))
    assert fingerprint(spec, request) == fingerprint(ModelSpec("m", "p"), GenerateRequest("m", TextPrompt("hi")))
    others = [
        fingerprint(spec, dataclasses.replace(request, prompt=TextPrompt("ho"))),
        fingerprint(dataclasses.replace(spec, n_ctx=512), request),
        fingerprint(spec, dataclasses.replace(request, prompt=TextPrompt("\ud800"))),
    ]
    assert len({fingerprint(spec, request), *others}) == 4


def test_a_proof_depends_on_everything_it_should() -> None:
    proofs = {
        proof(b"s", "host", "n", "m", "k"),
        proof(b"t", "host", "n", "m", "k"),
        proof(b"s", "engine", "n", "m", "k"),
        proof(b"s", "host", "x", "m", "k"),
        proof(b"s", "host", "n", "x", "k"),
        proof(b"s", "host", "n", "m", "x"),
    }
    assert len(proofs) == 6
    good = proof(b"s", "host", "n", "m", "k")
    assert proof_holds(good, good)
    for claimed in (None, 1, "", good[:-1], "é" * 64):
        assert not proof_holds(claimed, good)


def test_what_crosses_the_socket_changes_only_together_with_the_protocols_version() -> None:
    # An engine outlives a host for a while, and a host that has been changed meanwhile must not meet it.
    shapes = "\n".join(
        f"{shape.__module__}.{name}: {[field.name for field in fields(shape)]}"
        for module in (answers, conversation, generation, reading)
        for name, shape in sorted(vars(module).items())
        if isinstance(shape, type) and is_dataclass(shape) and shape.__module__ == module.__name__
    )
    assert (PROTOCOL_VERSION, hashlib.sha256(shapes.encode()).hexdigest()[:16]) == (10, "01ba1ce754a21eca"), (
        "count PROTOCOL_VERSION up, and write both here"
    )
