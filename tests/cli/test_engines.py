"""``bodhi ps`` and ``bodhi stop``: the models of a server that runs beside, in another process."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bodhi_asgi.cli.engines import size, span
from tests.cli.conftest import Bodhi

HOST = """
import asyncio, sys
from bodhi_asgi import BodhiServer

async def main():
    async with BodhiServer() as bodhi:
        await bodhi.load_model("parrot", keep_alive="1h")
        stream = None
        if "busy" in sys.argv:
            asked = {"model": "parrot", "messages": [{"role": "user", "content": "word " * 600}], "stream": True}
            stream = await bodhi.chat_completion(asked)
            while not (await anext(stream)).text:
                pass
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def host(
    request: pytest.FixtureRequest, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A server on the same data directory, with its engine in a process of its own."""
    monkeypatch.setenv("BODHI_ENGINE__ISOLATION", "process")
    monkeypatch.setenv("BODHI_ENGINE__LINGER_S", "0")
    changed = {**environment, "BODHI_ENGINE__ISOLATION": "process", "BODHI_ENGINE__LINGER_S": "0"}
    command = [sys.executable, "-c", HOST, getattr(request, "param", "idle")]
    with subprocess.Popen(command, env=changed, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate(timeout=30)


def test_another_process_sees_what_is_loaded_and_unloads_it(bodhi: Bodhi, host: None) -> None:
    (row,) = json.loads(bodhi("ps", "--json").stdout)["data"]
    assert (row["model"], row["state"], row["hosts"], row["running"]) == ("parrot", "ready", 1, 0)
    head, line = bodhi("ps").stdout.splitlines()
    assert head.split("\t") == ["model", "size", "state", "slots", "context", "idle for", "until", "pid"]
    cells = line.split("\t")
    assert (cells[0], cells[2], cells[3], cells[7]) == ("parrot", "ready", "0/8", str(row["pid"]))
    assert cells[6] in ("in 1h", "in 59m 59s", "in 59m 58s", "in 59m 57s", "in 59m 56s", "in 59m 55s")
    assert bodhi("stop", "parrot").stdout == "The model 'parrot' is unloaded.\n"
    assert json.loads(bodhi("ps", "--json").stdout)["data"] == []
    assert bodhi("stop", "parrot").stdout == "The model 'parrot' was not in memory.\n"


@pytest.mark.parametrize("host", ["busy"], indirect=True)
def test_what_is_at_work_is_stopped_by_force_only(bodhi: Bodhi, host: None) -> None:
    assert bodhi("ps").stdout.splitlines()[1].split("\t")[2] == "at work"
    refused = bodhi("stop", "parrot")
    assert (refused.exit_code, "answers 1 request" in refused.stderr) == (5, True)
    assert json.loads(bodhi("stop", "parrot", "--force", "--json").stdout) == {"model": "parrot", "unloaded": 1}


def test_nothing_is_in_memory_and_nobody_of_that_name_is_known(bodhi: Bodhi) -> None:
    assert bodhi("ps").stdout.splitlines() == ["model\tsize\tstate\tslots\tcontext\tidle for\tuntil\tpid"]
    assert bodhi("stop", "phoenix").exit_code == 3


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0s"), (59.4, "59s"), (61, "1m 1s"), (300, "5m"), (5400, "1h 30m"), (90_000, "1d 1h")]
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, told: str) -> None:
    assert span(seconds) == told


def test_a_size_is_told_in_megabytes_or_gigabytes() -> None:
    assert (size(350_000_000), size(4_700_000_000)) == ("350 MB", "4.7 GB")
