"""What is refused before any verb is called, in whose words, and what every answer carries."""

import asyncio
import json
import logging
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Grants
from bodhi_asgi.http.app import HttpApp
from bodhi_asgi.http.route import Route
from bodhi_asgi.http.table import routes
from tests.http.conftest import USE, RawClient, Site

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
AS_ANN = {"x-user": "ann"}


async def send(here: Site, body: bytes, content_type: str | None = "application/json", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        named["content-type"] = content_type
    return await here.client.post(CHAT, content=body, headers={**AS_ANN, **named})


async def test_a_missing_path_is_told_in_the_dialect_of_its_neighbours(here: Site) -> None:
    openai = (await here.client.get("/v1/nothing", headers=AS_ANN)).json()["error"]
    assert openai == {
        "message": "there is nothing at /v1/nothing", "type": "invalid_request_error", "param": None,
        "code": "not_found",
    }  # fmt: skip
    management = (await here.client.get("/bodhi/v1/nothing", headers=AS_ANN)).json()["error"]
    assert management == {
        "message": "there is nothing at /bodhi/v1/nothing", "type": "not_found_error", "code": "not_found"
    }  # fmt: skip


async def test_a_path_is_repeated_without_its_control_characters(here: Site) -> None:
    answer = await here.client.get("/v1/a%0d%0ab%1b%5b31m%e2%80%a8", headers=AS_ANN)
    assert answer.json()["error"]["message"] == "there is nothing at /v1/a??b?[31m?"


async def test_another_method_is_told_which_there_are(here: Site) -> None:
    answer = await here.client.put("/bodhi/v1/tokens", headers=AS_ANN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert answer.json()["error"]["code"] == "method_not_allowed"
    answer = await here.client.get(CHAT, headers=AS_ANN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_slash_at_the_end_makes_no_difference_and_no_redirect(here: Site) -> None:
    for path in ("/ping", "/v1/models", "/v1/models/parrot", "/bodhi/v1/tokens"):
        with_slash = await here.client.get(f"{path}/", headers=AS_ANN)
        assert with_slash.status_code == 200
        assert with_slash.content == (await here.client.get(path, headers=AS_ANN)).content
    assert (await here.client.get("/", headers=AS_ANN)).status_code == 404
    assert (await here.client.get("//ping", headers=AS_ANN)).status_code == 404


async def test_head_is_answered_as_get_without_a_body(here: Site) -> None:
    answer = await here.client.head("/ping")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "18"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x/json"]
)
async def test_only_json_is_read(here: Site, content_type: str | None) -> None:
    answer = await send(here, json.dumps(HELLO).encode(), content_type)
    assert answer.status_code == 415
    assert answer.json()["error"]["param"] == "content-type"
    assert "'application/json' is accepted" in answer.json()["error"]["message"]


async def test_parameters_of_the_content_type_do_no_harm(here: Site) -> None:
    assert (await send(here, json.dumps(HELLO).encode(), "Application/JSON; charset=utf-8")).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
async def test_nothing_is_unpacked(here: Site, encoding: str) -> None:
    answer = await send(here, b"\x1f\x8b", content_encoding=encoding)
    assert answer.status_code == 415
    assert answer.json()["error"]["param"] == "content-encoding"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b'{"model": "\xff"}',
        b'{"model": NaN}', b'{"model": 1e999}', b'{"model": "a", "model": "b"}', b'{"model": "\\ud800"}',
        b'{"model": ' + b"9" * 5000 + b"}", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"model": "a"} {}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("route", [route for route in routes(with_docs=True) if route.reads_body], ids=lambda r: r.name)
async def test_what_is_not_strict_json_is_refused_by_every_route(here: Site, route: Route, body: bytes) -> None:
    headers = {**AS_ANN, "content-type": "application/json"}
    path = route.path.replace("{id}", "some")
    answer = await here.client.request(route.method, path, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert (await here.client.get("/ping")).status_code == 200


async def test_a_body_over_the_limit_is_refused_by_its_declared_length(here: Site) -> None:
    client = RawClient(here.port)
    client.reader, client.writer = await asyncio.open_connection("127.0.0.1", here.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-User: ann\r\nContent-Type: application/json\r\n"
    client.writer.write(f"{head}Content-Length: 4194305\r\n\r\n".encode())
    async with asyncio.timeout(20):
        answer = await client.read_until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    client.leave()


async def test_a_body_over_the_limit_is_refused_while_it_arrives(here: Site) -> None:
    async def parts() -> Any:
        for _ in range(5):
            yield b" " * 1_000_000

    headers = {**AS_ANN, "content-type": "application/json"}
    answer = await here.client.post(CHAT, content=parts(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["param"] == "content-length"


async def test_a_stranger_is_refused_before_a_body_is_read(here: Site) -> None:
    answer = await here.client.post(CHAT, content=b" " * 5_000_000, headers={"content-type": "application/json"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_client_that_goes_while_it_sends_leaves_nothing_behind(here: Site) -> None:
    client = RawClient(here.port)
    client.reader, client.writer = await asyncio.open_connection("127.0.0.1", here.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nX-User: ann\r\nContent-Type: application/json\r\n"
    client.writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    lifecycle = here.app.server.lifecycle
    async with asyncio.timeout(20):
        while lifecycle._run is None or lifecycle._run.uses == 0:
            await asyncio.sleep(0.005)
        client.vanish()
        while lifecycle._run.uses:
            await asyncio.sleep(0.005)


async def test_every_answer_is_marked_and_not_to_be_kept(here: Site) -> None:
    ids = set()
    for answer in (
        await here.client.get("/ping"),
        await here.client.get("/v1/models"),
        await here.client.get("/v1/models", headers=AS_ANN),
        await here.client.get("/docs"),
        await here.client.post(CHAT, json={**HELLO, "stream": True}, headers=AS_ANN),
        await here.client.post("/bodhi/v1/tokens", json={"scope": "scope_token_user"}, headers=AS_ANN),
    ):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert "set-cookie" not in answer.headers
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == 6


async def test_a_stream_is_marked_for_proxies(here: Site) -> None:
    answer = await here.client.post(CHAT, json={**HELLO, "stream": True}, headers=AS_ANN)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_an_unforeseen_failure_is_logged_once_and_told_without_its_words(
    here: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(here.app.server.services.models, "list", fail)
    answer = await here.client.get("/v1/models", headers=AS_ANN)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == "a request failed"
    assert record.request_id == answer.headers["x-request-id"]  # type: ignore[attr-defined]
    assert record.exc_info is not None


async def test_pages_are_asked_for_by_numbers(here: Site) -> None:
    for name in ("a", "b", "c"):
        await here.client.post(
            "/bodhi/v1/tokens", json={"name": f"token {name}", "scope": "scope_token_user"}, headers=AS_ANN
        )

    async def get(query: str) -> Any:
        return await here.client.get(f"/bodhi/v1/tokens?{query}", headers=AS_ANN)

    page = (await get("page=2&page_size=2")).json()
    assert ([token["name"] for token in page["data"]], page["total"], page["page"]) == (["token a"], 3, 2)
    totals = [
        (await get(query)).json()["total"] for query in ("search=N%20b", "search=x", "status=active", "status=revoked")
    ]
    assert totals == [1, 0, 3, 0]
    for query in ("status=gone", "status=", f"search={'x' * 201}", "search=%00"):
        assert (await get(query)).json()["error"]["param"] == query.partition("=")[0]
    for query in (
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "page_size=101",
        "page=1000001",
        "page=9999999999",
        "page=%c2%b2",
    ):
        answer = await get(query)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] in ("page", "page_size")


async def test_a_token_lives_over_http_from_its_making_to_its_end(here: Site) -> None:
    grants = {"version": "1", "models": {"type": "specific", "ids": ["parrot"]}}
    body = {"name": "laptop", "scope": "scope_token_user", "grants": grants}
    made = await here.client.post("/bodhi/v1/tokens", json=body, headers=AS_ANN)
    assert made.status_code == 201
    path = f"/bodhi/v1/tokens/{made.json()['id']}"
    bearer = {"authorization": f"Bearer {made.json()['token']}"}

    async def models() -> Any:
        answer = await here.client.get("/v1/models", headers=bearer)
        return [model["id"] for model in answer.json()["data"]] if answer.status_code == 200 else answer.status_code

    assert await models() == ["parrot"]
    detail = (await here.client.get(path, headers=AS_ANN)).json()
    assert detail["name"] == "laptop"
    assert detail["grants"]["models"] == {"type": "specific", "ids": ["parrot"]}
    assert made.json()["token"] not in json.dumps(detail)
    changed = await here.client.put(path, json={"name": "old laptop", "status": "inactive"}, headers=AS_ANN)
    assert (changed.json()["name"], changed.json()["status"]) == ("old laptop", "inactive")
    assert await models() == 401
    await here.client.put(path, json={"status": "active"}, headers=AS_ANN)
    assert await models() == ["parrot"]
    gone = await here.client.delete(path, headers=AS_ANN)
    assert (gone.status_code, gone.content) == (204, b"")
    assert await models() == 401
    wrong = await here.client.post("/bodhi/v1/tokens", json={"scope": "all", "colour": 1}, headers=AS_ANN)
    assert wrong.status_code == 400


async def test_requests_and_their_outcomes_are_counted(here: Site) -> None:
    await here.client.get("/ping")
    await here.client.get("/v1/models")
    token = {"authorization": f"Bearer {await here.token(*USE)}"}
    await here.client.post(CHAT, json=HELLO, headers=token)
    meters = here.app.server.services.meters
    counted: dict[tuple[str, ...], float] = {}
    async with asyncio.timeout(20):  # an answer is counted when all of it has been sent, which a client may see before
        while ("chat", "200") not in counted:
            await asyncio.sleep(0)
            counted = dict(meters.requests.series())
    assert counted[("ping", "200")] == 1
    assert counted[("list_models", "401")] == 1
    assert counted[("chat", "200")] == 1


async def test_new_work_is_refused_while_draining_and_liveness_is_not(here: Site) -> None:
    here.app.begin_drain()
    answer = await here.client.post(CHAT, json=HELLO, headers=AS_ANN)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "server_shutting_down"
    assert int(answer.headers["retry-after"]) > 0
    assert (await here.client.get("/health/live")).status_code == 200
    assert (await here.client.get("/health/ready")).status_code == 503


async def test_a_client_that_has_gone_when_the_answer_is_ready_gets_none(app_without_server: BodhiApp) -> None:
    """The disconnect and the first words of the answer come in the same turn of the loop."""
    app = app_without_server
    async with app as bodhi:
        token = (await bodhi.create_api_token("t", scopes=USE, grants=Grants.everything())).token.reveal()
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": json.dumps({**HELLO, "stream": True}).encode()}]
        gone = asyncio.Event()

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def respond(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": CHAT, "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode())],
        }  # fmt: skip
        gone.set()
        await HttpApp(app.server)(scope, receive, respond)
        assert sent == []
        stats = await app.server.services.engines.stats()
        assert all(stat.running == 0 for stat in stats.values())
