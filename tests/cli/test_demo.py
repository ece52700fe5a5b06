"""``bodhi demo``: everything a newcomer needs, and nothing left behind."""

import asyncio
import socket
import tempfile
from pathlib import Path

import pytest

from bodhi_asgi.cli import demo
from bodhi_asgi.cli.demo import answer_of
from tests.cli.conftest import Bodhi

CHUNK = 'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n'


def test_the_printed_curl_works_and_the_data_is_gone_afterwards(
    bodhi: Bodhi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = bodhi("demo", "--port", str(port), "--check")
    assert result.exit_code == 0, result.output
    assert f"Port {port} is taken; trying {port + 1}." in result.stderr
    assert f"http://127.0.0.1:{port + 1}/v1/chat/completions" in result.stdout
    assert "The demo model says: What is the capital of France?" in result.stdout  # it is the echo runner here
    assert not list(tmp_path.glob("bodhi-demo-*"))


def test_without_curl_the_check_says_so(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = bodhi("demo", "--port", "20135", "--check")
    assert result.exit_code == 5
    assert "curl is not installed" in result.stderr


@pytest.mark.parametrize(
    ("curl", "reason"),
    [("exec echo nothing", "got no answer"), ("exit 7", "got no answer"), ("exec sleep 60", "did not answer within")],
)
def test_a_curl_without_an_answer_is_a_failure(
    bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch, curl: str, reason: str
) -> None:
    monkeypatch.setattr(demo, "CURL", curl)
    monkeypatch.setattr(demo, "ANSWERS_WITHIN_S", 1)
    result = bodhi("demo", "--port", "22135", "--check")
    assert result.exit_code == 5
    assert reason in result.stderr


def test_when_no_port_is_free_it_says_which_were_tried(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PORTS_TRIED", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = bodhi("demo", "--port", str(port), "--check")
    assert result.exit_code == 5
    assert f"none of the ports {port} to {port} is free" in result.stderr


async def test_in_the_foreground_it_waits_for_ctrl_c(command: list[str], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, "demo", "--port", "21135", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"Ctrl-C" not in await process.stdout.readline():
            assert process.returncode is None
        process.terminate()
        assert await process.wait() == 0


def test_an_answer_is_the_words_of_a_stream_that_ended_well() -> None:
    assert answer_of(CHUNK % "Par" + CHUNK % "is." + "data: [DONE]\n\n") == "Paris."
    assert answer_of(CHUNK % "Par") == ""
    assert answer_of('{"error": {"message": "no"}}') == ""
