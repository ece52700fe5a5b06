"""A whole Django project on real servers, under ASGI and under WSGI: the same answers, users and refusals on both."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)  # each starts processes of its own, on machines that are slow
PROJECT = "tests.integrations.django_project"
SERVERS = {
    "asgi": ["uvicorn", f"{PROJECT}.asgi:application", "--port", "0"],
    "wsgi": ["gunicorn", f"{PROJECT}.wsgi:application", "--bind", "127.0.0.1:0", "--threads", "4"],
    "preloaded": ["gunicorn", f"{PROJECT}.warmed:application", "--bind", "127.0.0.1:0", "--threads", "4", "--preload"],
}
HELLO: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
CHAT = "/bodhi/v1/chat/completions"


@dataclass(frozen=True)
class Site:
    """A running project and the credentials of its people."""

    url: str
    facts: dict[str, str]

    def client(self, who: str | None = None, **headers: str) -> httpx2.Client:
        client = httpx2.Client(base_url=self.url, timeout=30, headers=headers)
        if who is not None:
            client.cookies.set("sessionid", self.facts[who])
        return client

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.facts['token']}"}


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PROJECT_FOLDER": str(folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment(folder), timeout=240
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def facts(folder: Path) -> dict[str, str]:
    done = run(folder, f"{PROJECT}.prepare")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, folder: Path, facts: dict[str, str]) -> Iterator[Site]:
    with served(request.param, folder) as url:
        yield Site(url, facts)


@contextmanager
def served(name: str, folder: Path, **more: str) -> Iterator[str]:
    """The project on one of the servers, and its address."""
    command = [sys.executable, "-W", "ignore", "-m", *SERVERS[name]]
    with (folder / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment(folder, **more),
            text=True,
        )
        try:
            assert server.stdout is not None
            for line in server.stdout:
                log.write(line.encode())
                if found := re.search(r"(?:running on|Listening at:) (http://[\d.:]+)", line):
                    break
            else:
                raise AssertionError((folder / f"{name}.log").read_text())
            # What it says later goes nowhere: a pipe that is full would hold it.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            yield found[1]
        finally:
            server.terminate()
            try:
                server.wait(30)
            finally:
                server.kill()
                server.wait()
                if server.stdout is not None:
                    server.stdout.close()


def csrf(client: httpx2.Client) -> dict[str, str]:
    """What a page of Django's would have given to a browser."""
    value = "a" * 32
    client.cookies.set("csrftoken", value)
    return {"x-csrftoken": value}


def test_views_of_both_kinds_ask_the_same_server(site: Site) -> None:
    with site.client() as client:
        assert [client.get(path).text for path in ("/ask", "/aask")] == ["hello there", "hello there"]


@pytest.mark.parametrize("path", ["/who", "/awho"])
def test_a_view_knows_djangos_user_and_what_his_groups_permit(site: Site, path: str) -> None:
    def scopes(who: str) -> set[str]:
        with site.client(who) as client:
            answer = client.get(path).json()
        assert answer["id"].startswith("django:")
        return set(answer["scopes"])

    assert scopes("ann") == {"models:read", "inference"}
    assert scopes("lib") == {"models:read", "inference", "models:write", "tokens:read", "tokens:write"}
    assert {"engines:read", "health:read"} <= scopes("staff")
    assert "tokens:write" not in scopes("staff")
    assert "audit:read" in scopes("root")


def test_strangers_are_refused_in_our_own_words(site: Site) -> None:
    with site.client() as client:
        answer = client.post(CHAT, json=HELLO)
        assert (answer.status_code, "error" in answer.json()) == (401, True)
        assert client.get("/bodhi/ping").status_code == 200


def test_a_session_needs_the_csrf_token_and_an_api_token_does_not(site: Site) -> None:
    with site.client("ann") as client:
        refused = client.post(CHAT, json=HELLO)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf_refused")
        assert client.get("/bodhi/v1/models").status_code == 200
        accepted = client.post(CHAT, json=HELLO, headers=csrf(client))
        assert accepted.json()["choices"][0]["message"]["content"] == "hello there"
        assert client.post(CHAT, json=HELLO, headers=site.bearer).status_code == 200
    with site.client() as client:
        assert client.post(CHAT, json=HELLO, headers=site.bearer).status_code == 200


def test_a_foreign_key_beside_a_session_is_no_way_around_csrf(site: Site) -> None:
    with site.client("ann", authorization="Bearer something") as client:
        assert client.post(CHAT, json=HELLO).status_code == 403


def test_foreign_hosts_are_refused(site: Site) -> None:
    with site.client(host="evil.example") as client:
        assert client.get("/bodhi/ping").status_code == 400


def test_a_body_may_be_larger_than_djangos_limit_and_not_larger_than_ours(site: Site) -> None:
    def body(size: int) -> dict[str, Any]:
        return {"model": "parrot", "messages": [{"role": "user", "content": "u" * size}], "n": 0}

    with site.client() as client:
        large = client.post(CHAT, json=body(10_000_000), headers=site.bearer)
        assert large.status_code == 400  # read whole, and refused for what stands in it
        assert large.json()["error"]["param"] == "n"
        assert client.post(CHAT, json=body(12_000_000), headers=site.bearer).status_code == 413


def test_an_answer_is_streamed_with_the_prefix_and_headers_of_a_stream(site: Site) -> None:
    with site.client() as client:
        with client.stream("POST", CHAT, json={**HELLO, "stream": True}, headers=site.bearer) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in answer.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        pieces = [json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
        assert "".join(pieces) == "hello there"


def running(client: httpx2.Client) -> int:
    return sum(client.get("/loaded").json()["busy"])


def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact; for ever only up to the limit of the test."""
    while not fact():
        threading.Event().wait(0.02)


SYNC_ONLY = f"{PROJECT}.suite.checking.sync_only"
"""What the check ``bodhi.W001`` warns of."""
SLOW: dict[str, Any] = {
    "model": "parrot",
    "messages": [{"role": "user", "content": "poison: sleep 0.05 on and on"}],
    "ignore_eos": True, "max_tokens": 4000, "stream": True,
}  # fmt: skip
STREAMS = 30


async def threads_of(url: str, token: dict[str, str]) -> tuple[int, int]:
    """Threads of a server before and while it streams."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client, AsyncExitStack() as stack:

        async def count() -> int:
            return int((await client.get("/threads")).json()["threads"])

        async def opened() -> None:
            stream = client.stream("POST", CHAT, json=SLOW, headers=token)
            lines = (await stack.enter_async_context(stream)).aiter_lines()
            assert (await anext(lines)).startswith("data: ")
            held.append(lines)  # the response is closed with it

        held: list[Any] = []
        await opened()
        before = await count()
        await asyncio.gather(*(opened() for _ in range(STREAMS)))
        return before, await count()


@pytest.mark.parametrize("middleware", [[], [SYNC_ONLY]], ids=["Django's own", "one that is sync only"])
async def test_an_open_stream_holds_no_thread_behind_middleware(
    middleware: list[str], facts: dict[str, str], folder: Path
) -> None:
    engine = {"RUNNER": "poison", "ISOLATION": "thread", "N_CTX": 8192, "SLOTS": STREAMS + 1}
    more = {"PROJECT_MIDDLEWARE": json.dumps(middleware), "PROJECT_BODHI": json.dumps({"ENGINE": engine})}
    with served("asgi", folder, **more) as url:
        before, after = await threads_of(url, {"authorization": f"Bearer {facts['token']}"})
    print(f"{before} threads, and {after} with {STREAMS} streams more")  # the figures of docs/hosts.md
    assert after - before < STREAMS / 3, "bodies are read in a few threads that all share"


def test_a_client_that_goes_stops_the_model(site: Site) -> None:
    long = {"model": "parrot", "messages": [{"role": "user", "content": "word " * 100_000}], "stream": True}
    with site.client() as client, site.client() as other:
        with client.stream("POST", CHAT, json=long, headers=site.bearer) as answer:
            # It reads no further, so that the answer cannot come to its own end.
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            until(lambda: running(other) == 1)
        until(lambda: running(other) == 0)
