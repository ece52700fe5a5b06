"""The description of the routes, and the page that shows it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from bodhi_asgi.http.openapi import document
from bodhi_asgi.http.route import Access
from bodhi_asgi.http.routes.docs import asset
from bodhi_asgi.http.table import routes
from tests.http.conftest import Site, site

ROWS = routes(with_docs=False)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(ROWS, server_url="/bodhi")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere_and_every_shape_is_used(described: dict[str, Any]) -> None:
    used = set(references(described))
    there = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert used <= there
    assert there - used <= {"#/components/schemas/ChatCompletionChunk"}


def test_every_route_is_described_with_its_rule_and_its_errors(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    names = [operation["operationId"] for methods in described["paths"].values() for operation in methods.values()]
    assert sorted(names) == sorted(route.name for route in ROWS)
    for route in ROWS:
        operation = described["paths"][re.sub(r":\w+}", "}", route.path)][route.method.lower()]
        assert operation["summary"]
        assert operation["description"]
        is_open = route.access is Access.ANONYMOUS
        assert operation["security"] == ([] if is_open else [{"bearer": []}])
        assert ("401" in operation["responses"]) is not is_open
        assert str(route.status) in operation["responses"]
        assert ("requestBody" in operation) is route.reads_body
        named = {part["name"] for part in operation.get("parameters", ()) if part["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)", route.path))


@pytest.mark.parametrize(
    ("root_path", "prefix", "url"), [("", "", "/"), ("", "/bodhi", "/bodhi"), ("/proxy", "/bodhi", "/proxy/bodhi")]
)
def test_the_document_knows_the_prefix_it_is_served_under(
    app_without_server: BodhiApp, tmp_path: Path, root_path: str, prefix: str, url: str
) -> None:
    app = BodhiApp(data_dir=tmp_path, docs=True)
    host: Any = app.install(Starlette(), prefix) if prefix else app
    with TestClient(host, root_path=root_path) as client:
        answer = client.get(f"{root_path}{prefix}/openapi.json")
        assert answer.json()["servers"] == [{"url": url}]


async def test_the_page_loads_nothing_from_elsewhere(here: Site) -> None:
    page = await here.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for link in loaded:
        assert link.startswith("/")
        assert (await here.client.get(link)).status_code == 200
    assert "<script>" not in page.text
    assert not re.search(r"\son\w+=|style=", page.text)
    for name in ("docs.html", "docs.js", "docs.css"):
        assert "//" not in re.sub(r"^\s*//.*$", "", asset(name), flags=re.MULTILINE)


def test_the_pages_links_follow_the_mount(app_without_server: BodhiApp, tmp_path: Path) -> None:
    host = BodhiApp(data_dir=tmp_path, docs=True).install(Starlette(), "/a&b")
    with TestClient(host) as client:
        for path in ("/a&b/docs", "/a&b/docs/"):
            assert 'src="/a&amp;b/docs.js"' in client.get(path).text
        assert client.get("/a&b/docs.js").status_code == 200


async def test_there_is_no_page_unless_it_is_wanted(tmp_path: Path) -> None:
    async with site(tmp_path, docs=None) as mounted:
        for path in ("/docs", "/openapi.json", "/docs.js"):
            assert (await mounted.client.get(path, headers={"x-user": "ann"})).status_code == 404
