"""Requests that nobody would write: whatever comes is answered, below 500, and errors are JSON."""

import asyncio
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Caller, Scope
from bodhi_asgi.http.table import routes

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW", "get", ""]
PIECES = [
    "",
    "/",
    "//",
    "..",
    "%2e%2e",
    "\x00",
    "\r\n",
    "é",
    "\ud7ff",
    "{id}",
    "a" * 3000,
    "v1",
    "bodhi",
    "models",
    "tokens",
    "chat",
    "completions",
    "health",
    "ping",
    "parrot",
    "*",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "?",
    "#",
    "'",
    "-1",
]
NAMES = [
    b"content-type",
    b"content-length",
    b"content-encoding",
    b"authorization",
    b"x-api-key",
    b"cookie",
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"accept",
    b"x",
    b"",
]
VALUES = [
    b"application/json",
    b"text/plain",
    b"identity",
    b"gzip",
    b"0",
    b"-1",
    b"1e9",
    b"9" * 40,
    b"\xff\xfe",
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer sk-bodhiapp_x.y",
    b"Bearer \x00",
    b"basic YTpi",
    b"null",
    b"same-origin",
    b"cross-site",
    b"a=b; =; ;;\xe9=1",
    b"x" * 20_000,
]
QUERIES = [b"", b"page=1", b"page=%ff", b"&&&==", b"page=" + b"1" * 5000, b"\xff\x00", b"a&" * 2000]
BODIES = [
    b'{"scope": "scope_token_user"}',
    b"",
    b"{}",
    b"[]",
    b"\x00",
    b'{"model": "parrot"}',
    b'{"model": 1, "messages": 2}',
    b"{" * 10_000,
    b'{"name": "\\u0000"}',
    b'{"model": "parrot", "messages": [{"role": "user", "content": "hi"}], "max_tokens": -1}',
    b'{"model": "parrot", "messages": [{"role": "user", "content": "hi"}], "stream": true}',
    b'{"model": "parrot", "input": [[1, 2], "x"]}',
    b'{"model": "parrot", "query": "x", "documents": [{}]}',
    b'{"model": "parrot", "tokens": [1e300]}',
    b'{"scope": "scope_token_user", "name": ""}',
    b'{"scope": "scope_token_user", "grants": {"version": "2"}}',
]


@pytest.fixture
def app(tmp_path: Path) -> BodhiApp:
    engine = {"runner": "echo", "isolation": "thread", "n_ctx": 64}
    everybody = Caller.user("everybody", scopes=list(Scope))
    return BodhiApp(
        data_dir=tmp_path, models={"parrot": "x"}, demo=False, docs=True, engine=engine, identity=lambda _: everybody,
        cors_origins=("https://app.example",),
    )  # fmt: skip


def nonsense(dice: random.Random) -> tuple[dict[str, Any], bytes]:
    known = [route.path for route in routes(with_docs=True)]
    path = dice.choice(known) if dice.random() < 0.6 else "/" + "/".join(dice.choices(PIECES, k=dice.randint(0, 5)))
    if dice.random() < 0.5:
        path = path.replace("{id}", dice.choice(PIECES)).replace("{model:path}", dice.choice(PIECES))
    headers = [(dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randint(0, 5))]
    if dice.random() < 0.6:
        headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http", "method": dice.choice(METHODS), "path": path, "query_string": dice.choice(QUERIES),
        "headers": headers, "client": dice.choice([None, ("1.2.3.4", "80")]),
    }  # fmt: skip
    return scope, dice.choice(BODIES)


async def test_nonsense_is_answered(app: BodhiApp) -> None:
    dice = random.Random(2)
    statuses: Counter[int] = Counter()
    async with app:
        for _ in range(2500):
            scope, body = nonsense(dice)
            sent = await answer(app, scope, body)
            status = sent[0]["status"]
            statuses[status] += 1
            assert status < 500, (scope, body, sent)
            whole = b"".join(message.get("body", b"") for message in sent[1:])
            if status >= 400:
                assert json.loads(whole)["error"]["message"], (scope, body)
            assert not sent[-1].get("more_body", False)
            values = b"".join(value for _, value in sent[0]["headers"])
            assert b"\r" not in values
            assert b"\n" not in values
        stats = await app.server.services.engines.stats()
        assert all(stat.running == 0 for stat in stats.values())
    assert statuses.keys() >= {200, 400, 401, 404, 405, 415, 429}
    assert statuses[200] > 100


async def answer(app: BodhiApp, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    messages = [{"type": "http.request", "body": body}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    return sent
