"""The bounded log and the reason read back out of it."""

import os
from pathlib import Path

import pytest

from bodhi_asgi.engine.process import last_words


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "m.log"


def write(path: Path, launch: str, text: str) -> None:
    descriptor = last_words.open_log(path)
    last_words.begin_launch(launch, descriptor=descriptor)
    os.write(descriptor, text.encode())
    os.close(descriptor)


def test_the_reason_is_what_was_said_before_the_fatal_signal(log: Path) -> None:
    write(
        log, "one", "loading\nggml.c:42: GGML_ASSERT(n > 0) failed\nFatal Python error: Aborted\n\nThread 0x1:\n  a\n"
    )
    assert last_words.reason(log, "one") == "ggml.c:42: GGML_ASSERT(n > 0) failed | Fatal Python error: Aborted"


def test_each_launch_has_its_own_last_words(log: Path) -> None:
    write(log, "one", "Fatal Python error: Segmentation fault\n")
    write(log, "two", "Traceback\nValueError: no\n\n")
    assert last_words.reason(log, "one") == "Fatal Python error: Segmentation fault"
    assert last_words.reason(log, "two") == "ValueError: no"
    assert last_words.reason(log, "three") == ""
    assert last_words.reason(log.with_name("missing"), "one") == ""


def test_control_characters_do_not_reach_the_reader(log: Path) -> None:
    write(log, "one", "\x1b[31mred\x1b[0m\u2028line\u202e\n")
    assert last_words.reason(log, "one") == " [31mred [0m line "


def test_a_long_reason_is_cut(log: Path) -> None:
    write(log, "one", "x" * 10_000 + "\n")
    assert len(last_words.reason(log, "one")) == 400


def test_the_log_is_bounded_and_goes_on(log: Path) -> None:
    descriptor = last_words.open_log(log)
    last_words.begin_launch("one", descriptor=descriptor)
    os.write(descriptor, b"x" * last_words.LOG_BYTES)
    last_words.keep_bounded("one", descriptor=descriptor)
    assert log.stat().st_size < 100
    os.write(descriptor, b"the end\n")
    last_words.keep_bounded("one", descriptor=descriptor)
    os.close(descriptor)
    assert last_words.reason(log, "one") == "the end"
