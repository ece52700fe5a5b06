"""How clients write how long a model shall stay, and what becomes of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.wire.keep_alive import FOR_GOOD, MOST_S, seconds


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (0, 0.0),
        (300, 300.0),
        (1.5, 1.5),
        ("0", 0.0),
        ("300", 300.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1h15m30.918s", 4530.918),
        ("250ms", 0.25),
        ("+10s", 10.0),
        (".5h", 1800.0),
        ("1.h", 3600.0),
        ("100us", 0.0001),
        ("100µs", 0.0001),
        (-1, FOR_GOOD),
        (-300, FOR_GOOD),
        ("-1", FOR_GOOD),
        ("-1m", FOR_GOOD),
        ("-0.5s", FOR_GOOD),
    ],
)
def test_seconds_and_durations_are_read_as_ollama_reads_them(written: Any, read: float) -> None:
    assert seconds(written) == pytest.approx(read)


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "5x", "m", "5 m", "1h 30m", "--1m", "5m-1s", "1e3s", "٣s", "9" * 40 + "s", "9000h", "h" * 10_000),
        *(True, None, [], {}, float("nan"), float("inf"), -float("inf"), MOST_S + 1, 10**400, "1s" * 100),
    ],
)
def test_anything_else_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="'5m'"):
        seconds(written)


@given(st.integers(0, 8000), st.integers(0, 59), st.integers(0, 59))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest


@given(st.text(max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        found = seconds(text)
    except ValueError:
        return
    assert found == FOR_GOOD or 0 <= found <= MOST_S
