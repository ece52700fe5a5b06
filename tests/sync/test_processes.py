"""Whole programs that use the synchronous verbs: they are forked, interrupted and left, and end as they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BEGIN = """
import contextlib, os, signal, sys, threading
from bodhi_asgi import BodhiApp, Unavailable
app = BodhiApp(
    data_dir=os.environ["FOLDER"], models={"parrot": "parrot"}, demo=False,
    engine={"runner": "poison", "isolation": os.environ["ISOLATION"], "n_ctx": 8192, "linger_s": 0.5},
)
hello = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
endless = {
    "model": "parrot", "messages": [{"role": "user", "content": "poison: sleep 0.01 on and on"}],
    "ignore_eos": True, "max_tokens": 4000,
}
bodhi = app.sync()
def ask():
    return bodhi.chat_completion(hello, stream=False).text
"""

FORKED = """
with bodhi:
    print("parent", ask(), flush=True)
    stream = bodhi.chat_completion(endless, stream=True)
    next(stream)
    children = []
    for number in range(1):
        if (child := os.fork()) == 0:
            assert bodhi.status == "new"
            try:
                next(stream)
            except Exception as error:
                print(type(error).__name__, flush=True)
            del stream
            print("child", ask(), flush=True)
            with bodhi:
                print("block", ask(), flush=True)
            print(bodhi.status, flush=True)
            sys.exit(0)
        children.append(child)
    print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], flush=True)
    next(stream)
    stream.close()
    print("parent", ask(), flush=True)
"""

WORKERS = """
import multiprocessing, time
def work(number):
    for turn in range(5):
        bodhi.create_api_token(f"child {number}, {turn}")
    print(bodhi.list_api_tokens(page_size=1).page_size, flush=True)
fork = multiprocessing.get_context("fork")
with bodhi:
    bodhi.create_api_token("parent, before")
    workers = [fork.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers: worker.start()
    for turn in range(5): bodhi.create_api_token(f"parent, {turn}")
    # It closes the file while its children write, which would take the log from under one that has no locks.
for worker in workers: worker.join()
print([worker.exitcode for worker in workers], flush=True)
async def verify(verbs):
    return await app.server.services.audit.verify_chain()
with bodhi:
    print(bodhi.list_api_tokens().total, bodhi.run(verify), flush=True)
import sqlite3
with contextlib.closing(sqlite3.connect(app.server.config.data_dir / "bodhi.db")) as file:
    print(*file.execute("PRAGMA integrity_check").fetchone(), flush=True)
"""

FORKED_ON_THE_LOOP = """
import asyncio
from bodhi_asgi import Conflict
async def main():
    async with app as verbs:
        await verbs.create_api_token("parent, before")
        if (child := os.fork()) == 0:
            try:
                bodhi.list_api_tokens()
            except Conflict as error:
                print(error.code, "PostgreSQL" in error.message, flush=True)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        await verbs.create_api_token("parent, after")
        print((await verbs.list_api_tokens()).total, flush=True)
asyncio.run(main())
"""

LEFT = """
print(ask())
stream = bodhi.chat_completion(endless, stream=True)
next(stream)
def reads():
    with contextlib.suppress(Unavailable):
        for _ in stream: pass
threading.Thread(target=reads, daemon=True).start()
print("left", flush=True)
"""

INTERRUPTED = """
import asyncio
ask()
async def interrupt(verbs):
    while not (await app.server.services.engines.stats())["parrot"].running:
        await asyncio.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=lambda: bodhi.run(interrupt), daemon=True).start()
try:
    bodhi.chat_completion(endless)
except KeyboardInterrupt:
    print("interrupted", flush=True)
async def idle(verbs):
    async with asyncio.timeout(30):
        while (await app.server.services.engines.stats())["parrot"].running:
            await asyncio.sleep(0.005)
bodhi.run(idle)
print(ask(), flush=True)
"""


def run(script: str, folder: Path, isolation: str) -> list[str]:
    """What a program says, which ends by itself and complains of nothing."""
    environment = {**os.environ, "FOLDER": str(folder / "data"), "ISOLATION": isolation}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", BEGIN + script],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line and not line.startswith("Executing <")]
    assert complaints == [], done.stderr
    return done.stdout.splitlines()


@pytest.fixture(params=["thread", "process"])
def isolation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_children_start_their_own_loop_and_touch_nothing_of_their_parent(tmp_path: Path, isolation: str) -> None:
    said = run(FORKED, tmp_path, isolation)
    assert said[0] == said[-1] == "parent hello there"
    assert sorted(said[1:-2]) == sorted(["NotStarted", "child hello there", "block hello there", "stopped"])
    assert said[-2] == "[0]"


def test_children_and_parent_write_into_one_file_and_nothing_is_lost(tmp_path: Path) -> None:
    said = run(WORKERS, tmp_path, "thread")
    assert said == ["1", "1", "1", "[0, 0, 0]", "21 None", "ok"]


def test_a_child_that_was_forked_on_the_event_loop_is_refused_the_file(tmp_path: Path) -> None:
    assert run(FORKED_ON_THE_LOOP, tmp_path, "thread") == ["database_inherited True", "0", "2"]


def test_a_program_that_ends_without_closing_leaves_nothing_and_says_nothing(tmp_path: Path, isolation: str) -> None:
    assert run(LEFT, tmp_path, isolation) == ["hello there", "left"]


def test_an_interrupt_cancels_the_request_and_no_more(tmp_path: Path, isolation: str) -> None:
    assert run(INTERRUPTED, tmp_path, isolation) == ["interrupted", "hello there"]
