"""Who may use which route: every row of the table with every kind of credential, made from the table itself."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import Caller, Grants, Scope
from bodhi_asgi.clock import StillClock
from bodhi_asgi.http.openapi import document
from bodhi_asgi.http.route import Access, Dialect, Route
from bodhi_asgi.http.table import routes
from bodhi_asgi.ids import new_id
from tests.http.conftest import Site, site
from tests.hub.server import Hub, serving_hub
from tests.shelf.hub_cache import HubCache

TABLE = {route.name: route for route in routes(with_docs=True)}
DESCRIBED = {
    operation["operationId"]: operation
    for methods in document(TABLE.values(), server_url="/")["paths"].values()
    for operation in methods.values()
}
ALIAS = {"alias": "a name of its own", "repo": "bodhi/settings", "filename": "parrot"}
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"model": "parrot", "messages": [{"role": "user", "content": "hello"}]},
    "completions": {"model": "parrot", "prompt": "hello"},
    "embeddings": {"model": "parrot", "input": "hello"},
    "rerank": {"model": "parrot", "query": "hello", "documents": ["hello"]},
    "tokenize": {"model": "parrot", "prompt": "hello"},
    "detokenize": {"model": "parrot", "tokens": [0]},
    "apply_template": {"model": "parrot", "messages": [{"role": "user", "content": "hello"}]},
    "create_token": {"scope": "scope_token_user"},
    "load_model": {"keep_alive": "5m"},
    "create_alias": ALIAS,
    "update_alias": ALIAS,
    "copy_alias": {"alias": "a name of its own"},
    "update_token": {"name": "another name"},
    "refresh_model_files": {"source": "all"},
}
QUERIES: dict[str, dict[str, str]] = {"delete_model_file": {"repo": "owner/repo", "filename": "model.gguf"}}
DAY_S = 86_400
FILE = "small-Q8_0.gguf"
BEFORE = {
    "resume_download": "pause",
    "retry_download": "cancel",
    "archive_download": "cancel",
    "follow_download": "cancel",
}
"""What was done to a download before a route is right for it; of the others it waits in the queue."""


def user(connection: Any) -> Caller | None:
    """A user with the scopes that the header names; nobody without the header."""
    scopes = connection.headers.get("x-scopes")
    return None if scopes is None else Caller.user("ann", scopes=scopes.split())


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def here(tmp_path: Path, clock: StillClock, hub: Hub) -> AsyncIterator[Site]:
    async with serving_hub(hub) as endpoint:
        options: dict[str, Any] = {
            "hub": {"endpoint": endpoint, "cache_dir": tmp_path / "hub"},
            "downloads": {"parallel": 0},
        }
        async with site(tmp_path, identity=user, clock=clock, **options) as opened:
            yield opened


def new_repo(hub: Hub) -> str:
    """A repository that nobody has asked for yet."""
    repo = f"acme/{new_id()}-GGUF"
    hub.add(repo, {FILE: bytes(1000)})
    return repo


async def ask(here: Site, hub: Hub, route: Route, token: str | None = None, scopes: list[str] | None = None) -> Any:
    """One request to ``route`` that is right in all but, perhaps, who asks."""
    bodhi = here.app.server.as_caller(Caller.user("ann", scopes=list(Scope)))
    path = route.path.replace("{model:path}", "parrot")
    if "{id}" in path and route.tag == "models":
        owner = bodhi if token is None else here.app.server
        path = path.replace("{id}", (await owner.aliases.create(ALIAS | {"alias": new_id()})).id)
    elif "{id}" in path and route.tag == "downloads":
        download = (await bodhi.pull_model(f"{new_repo(hub)}/{FILE}")).now
        if route.name in BEFORE:
            await getattr(bodhi.downloads, BEFORE[route.name])(download.id)
        path = path.replace("{id}", download.id)
    elif "{id}" in path:
        created = await bodhi.create_api_token("to be managed")
        path = path.replace("{id}", created.record.id)
    if route.name == "delete_model_file":
        HubCache(here.app.server.services.hub.cache).add("owner/repo", "model.gguf")
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    body = {"repo": new_repo(hub), "filename": FILE} if route.name == "pull_model" else BODIES.get(route.name)
    body = body | {"alias": new_id()} if body is not None and "alias" in body else body
    if scopes is not None:
        headers["x-scopes"] = " ".join(scopes)
    query = QUERIES.get(route.name)
    return await here.client.request(route.method, path, params=query, json=body, headers=headers)


async def credentials(here: Site, clock: StillClock, route: Route) -> dict[str, str]:
    """API tokens by what is to be known of them."""
    bodhi, everything = here.app.server, Grants(all_models=True)
    old = await bodhi.create_api_token("old", scopes=list(Scope), grants=everything, expires_in_days=1)
    clock.advance(DAY_S + 1)
    revoked = await bodhi.create_api_token("revoked", scopes=list(Scope), grants=everything)
    await bodhi.revoke_api_token(revoked.record.id)
    others = [scope for scope in Scope if scope is not route.access]
    wrong = await bodhi.create_api_token("wrong", scopes=others, grants=everything)
    right = await bodhi.create_api_token("right", scopes=list(Scope), grants=everything)
    secrets = {"expired": old, "revoked": revoked, "wrong": wrong, "right": right}
    return {"bad": "sk-bodhiapp_bad.x"} | {name: made.token.reveal() for name, made in secrets.items()}


@pytest.mark.parametrize("name", sorted(TABLE))
async def test_each_route_lets_in_whom_its_row_names(here: Site, hub: Hub, clock: StillClock, name: str) -> None:
    route = TABLE[name]
    tokens = await credentials(here, clock, route)

    async def status(token: str | None = None, scopes: list[str] | None = None) -> int:
        response = await ask(here, hub, route, token, scopes)
        assert str(response.status_code) in DESCRIBED[name]["responses"]
        if response.is_success and route.response is not None:
            route.response.model_validate_json(response.content)
        if response.status_code >= 400:
            error = response.json()["error"]
            assert {"message", "type", "code"} <= set(error)
            assert ("param" in error) or route.dialect is Dialect.MANAGEMENT
        return int(response.status_code)

    outsiders = [await status(), *[await status(tokens[kind]) for kind in ("bad", "expired", "revoked")]]
    if route.access is Access.ANONYMOUS:
        assert outsiders == [route.status] * 4
        return
    assert outsiders == [401] * 4
    if isinstance(route.access, Scope):
        assert [await status(tokens["wrong"]), await status(tokens["right"])] == [403, route.status]
        others = [str(scope) for scope in Scope if scope is not route.access]
        assert [await status(scopes=others), await status(scopes=[str(route.access)])] == [403, route.status]
    else:  # tokens are managed by people, never by tokens
        assert [await status(tokens["right"]), await status(scopes=[])] == [403, 403]
        assert await status(scopes=[str(scope) for scope in Scope]) == route.status


async def test_what_is_not_there_is_not_told_to_strangers(here: Site) -> None:
    assert (await here.client.get("/v1/nothing")).status_code == 401
    assert (await here.client.get("/nothing", headers={"x-scopes": ""})).status_code == 404


async def test_a_token_outranks_the_session_that_comes_with_it(here: Site) -> None:
    headers = {"authorization": "Bearer sk-bodhiapp_bad.x", "x-scopes": "models:read"}
    assert (await here.client.get("/v1/models", headers=headers)).status_code == 401


async def test_the_open_routes_are_those_that_were_decided() -> None:
    opened = {route.path for route in TABLE.values() if route.access is Access.ANONYMOUS and route.tag != "docs"}
    assert opened == {"/ping", "/health", "/health/live", "/health/ready", "/bodhi/v1/info"}


async def test_the_parts_and_the_version_are_for_those_who_may_know(here: Site, clock: StillClock) -> None:
    token = (await here.app.server.create_api_token("t", scopes=[Scope.HEALTH_READ])).token.reveal()
    bare = (await here.app.server.create_api_token("t", scopes=[])).token.reveal()

    async def get(path: str, token: str | None = None) -> dict[str, Any]:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        body: dict[str, Any] = (await here.client.get(path, headers=headers)).json()
        return body

    assert await get("/health") == await get("/health", bare) == await get("/health", "nonsense") == {"status": "ok"}
    assert (await get("/health", token))["parts"]["database"] == "ok"
    assert await get("/bodhi/v1/info") == {"status": "ready", "deployment": "standalone"}
    assert set(await get("/bodhi/v1/info", bare)) == {"status", "deployment", "version", "commit_sha", "url"}


async def test_two_people_do_not_see_each_others_tokens(here: Site) -> None:
    ann = await here.app.server.as_caller(Caller.user("ann", scopes=list(Scope))).create_api_token("ann's")
    bob = here.app.server.as_caller(Caller.user("bob", scopes=list(Scope)))
    await bob.create_api_token("bob's")

    headers = {"x-scopes": " ".join(Scope)}
    listed = (await here.client.get("/bodhi/v1/tokens", headers=headers)).json()
    assert [token["name"] for token in listed["data"]] == ["ann's"]
    assert ann.token.reveal() not in json.dumps(listed)
    (theirs,) = (await bob.list_api_tokens()).data
    for method in ("GET", "DELETE"):
        path = f"/bodhi/v1/tokens/{theirs.id}"
        assert (await here.client.request(method, path, headers=headers)).status_code == 404
