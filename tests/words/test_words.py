"""The words every floor shares: errors, secrets, ids, clocks."""

import inspect
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi import errors
from bodhi_asgi.clock import StillClock, SystemClock
from bodhi_asgi.errors import STATUS, BodhiError, Kind, MissingDependency
from bodhi_asgi.ids import is_id, new_id
from bodhi_asgi.types import UNSET, Secret, Unset


def test_every_kind_has_its_status() -> None:
    assert set(STATUS) == set(Kind)
    assert len(set(STATUS.values())) == len(Kind)
    assert all(400 <= status < 600 for status in STATUS.values())


def test_every_error_has_a_code_and_its_kinds_status() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BodhiError)]
    assert len({kind.code for kind in kinds} - {"internal_error"}) == len(kinds) - 2  # the root and Broken share one
    for kind in kinds:
        error = kind("what", "extra") if kind is MissingDependency else kind("a sentence")  # type: ignore[arg-type]
        assert error.status == STATUS[kind.kind]


def test_an_error_carries_its_evidence() -> None:
    error = BodhiError("a sentence", param="a.b", retry_after_s=2.0, model="m")
    assert (str(error), error.message, error.param, error.retry_after_s) == ("a sentence", "a sentence", "a.b", 2.0)
    assert error.params == {"model": "m"}
    assert "pip install 'bodhi-asgi[llama]'" in MissingDependency("running models", "llama").message


@given(st.text(min_size=3))
def test_a_secret_shows_itself_to_nobody(text: str) -> None:
    secret = Secret(text)
    assert f"{secret} {secret!r}" == "Secret(***) Secret(***)"
    assert repr([secret]) == "[Secret(***)]"
    assert secret.reveal() == text
    assert secret == Secret(text)
    assert secret != text
    assert hash(secret) == hash(Secret(text))
    assert not hasattr(secret, "__dict__")


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_unset_is_false_and_itself() -> None:
    assert not UNSET
    assert repr(UNSET) == "UNSET"
    assert isinstance(UNSET, Unset)


def test_ids_have_their_form_and_are_all_different() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(is_id(text) for text in ids)
    for text in ("", ids[0][:-1], ids[0] + "0", ids[0].lower(), "8" + ids[0][1:], "I" * 26, ids[0][:-1] + "\n"):
        assert not is_id(text)


def test_the_machines_clock_tells_utc_and_does_not_go_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()


def test_a_still_clock_moves_when_told() -> None:
    clock = StillClock()
    before = clock.now()
    clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.monotonic() == 90
    with pytest.raises(ValueError, match="does not run backwards"):
        clock.advance(-1)
