"""Through a proxy: everything goes there and nothing past it, no inner address is asked of it, and it may refuse."""

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubUnreachable, ProxyRefused, RedirectRefused
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.transport import Whereabouts
from bodhi_asgi.hub.types import HubFile
from bodhi_asgi.outbound import written
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.types import Secret
from tests.hub.proxy import Proxy, serving_proxy
from tests.hub.server import Fault, Hub, Place
from tests.hub.test_addresses import self_signed
from tests.servers import serving

WEIGHTS = random.Random(5).randbytes(700_000)
FILE = HubFile("owner/model", "model.gguf")
NAME = "hub.example"
"""Nobody but the proxy knows where that is."""


@pytest.fixture
async def proxy(hub: Hub, endpoint: str) -> AsyncIterator[Proxy]:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    made = Proxy({NAME: ("127.0.0.1", httpx2.URL(endpoint).port or 0)})
    async with serving_proxy(made) as url:
        made.url = url
        yield made


@asynccontextmanager
async def through(proxy: Proxy, cache: Path, endpoint: str, **more: object) -> AsyncIterator[HubService]:
    access = HubAccess(endpoint, proxy=Secret(proxy.url), retries=0, **more)  # type: ignore[arg-type]
    service = HubService(access=access, cache=cache)
    yield service
    await service.aclose()


async def test_a_file_and_what_is_known_of_it_come_through_the_proxy(
    hub: Hub, proxy: Proxy, endpoint: str, tmp_path: Path
) -> None:
    async with through(proxy, tmp_path, endpoint) as service:
        assert [repo.repo for repo in await service.search("model")] == ["owner/model"]
        assert [file.filename for file in (await service.details("owner/model")).files] == ["model.gguf"]
        assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS
    assert len(proxy.seen) == len(hub.seen)
    assert {line.split("/")[0] for line in proxy.seen} == {"GET http:", "HEAD http:"}


async def test_names_are_resolved_by_the_proxy_alone(hub: Hub, proxy: Proxy, tmp_path: Path) -> None:
    hub.cdn_url = None
    async with through(proxy, tmp_path, f"http://{NAME}", token=Secret("hf_secret")) as service:
        assert [repo.repo for repo in await service.search("model")] == ["owner/model"]
    assert proxy.seen[0].startswith(f"GET http://{NAME}/api/models?")
    assert "authorization" not in hub.seen[0].headers, "the token goes through no proxy in the clear"


async def test_an_encrypted_hub_is_reached_through_a_tunnel(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    self_signed(NAME, key, certificate)
    hub, made = Hub(), Proxy(password="ada:let me in")
    hub.add("owner/model", {"config.json": b"{}"})
    hub.allow("hf_secret")
    async with (
        serving(Place(hub, "hub"), ssl_keyfile=str(key), ssl_certfile=str(certificate)) as address,
        serving_proxy(made) as url,
    ):
        made.names[NAME] = ("127.0.0.1", httpx2.URL(address).port or 0)
        made.url = url.replace("//", "//ada:let%20me%20in@")
        async with through(made, tmp_path / "cache", f"https://{NAME}", token=Secret("hf_secret")) as service:
            pool = service._transport()._client._transport._pool  # type: ignore[attr-defined]
            pool._ssl_context = ssl.create_default_context(cafile=str(certificate))
            fetched = await service.fetch(HubFile("owner/model", "config.json"))
            assert fetched.path.read_bytes() == b"{}"
    assert set(made.seen) == {f"CONNECT {NAME}:443"}
    assert {seen.headers["authorization"] for seen in hub.seen} == {"Bearer hf_secret"}


@pytest.mark.parametrize(
    ("endpoint_", "status", "error", "words"),
    [
        (f"http://{NAME}", 407, ProxyRefused, "a user and a password"),
        (f"https://{NAME}", 407, ProxyRefused, "a user and a password"),
        (f"https://{NAME}", 403, ProxyRefused, "403"),
        (f"http://{NAME}", 502, HubUnreachable, "502"),
        (f"https://{NAME}", 502, HubUnreachable, "proxy"),
    ],
)
async def test_a_proxy_that_refuses_is_told_apart(
    proxy: Proxy, tmp_path: Path, endpoint_: str, status: int, error: type[Exception], words: str
) -> None:
    proxy.status = status
    async with through(proxy, tmp_path, endpoint_) as service:
        with pytest.raises(error, match=words):
            await service.search("model")
        with pytest.raises(error, match=words):
            await service.fetch(FILE)


async def test_a_proxy_that_is_not_there_is_no_connection(proxy: Proxy, tmp_path: Path) -> None:
    proxy.url = "http://127.0.0.1:1"
    async with through(proxy, tmp_path, f"https://{NAME}") as service:
        with pytest.raises(HubUnreachable):
            await service.search("model")


@pytest.mark.parametrize("where", ["127.0.0.1", "169.254.169.254", "[::1]", "localhost", "2130706433", "0x7f.1"])
async def test_a_redirect_inwards_is_not_asked_of_the_proxy(hub: Hub, proxy: Proxy, tmp_path: Path, where: str) -> None:
    inwards = Fault(location=f"http://{where}/latest/meta-data")
    hub.fault("models", inwards)
    hub.fault("info", inwards)
    hub.fault("head", inwards)
    async with through(proxy, tmp_path, f"http://{NAME}") as service:
        for asking in (service.search("model"), service.details("owner/model"), service.fetch(FILE)):
            with pytest.raises(RedirectRefused):
                await asking
    assert all(f"//{NAME}/" in line for line in proxy.seen)


def test_numbers_are_addresses_however_they_are_written() -> None:
    for host in ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"):
        assert str(written(host)) == "127.0.0.1"
    assert str(written("[fe80::1]")) == "fe80::1"
    for host in ("hub.example", "cafe", "f.x", "1.2.3.4.5", "x", "0x", ""):
        assert written(host) is None
    whereabouts = Whereabouts("127.0.0.1")
    assert not whereabouts.permits_unseen("127.1")
    assert whereabouts.permits_unseen("127.0.0.1")
    assert whereabouts.permits_unseen("127.1")
    assert whereabouts.permits_unseen("some.localhost")


def test_the_proxy_is_a_setting_that_shows_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_HUB__PROXY", "http://ada:hunter2@proxy.example:3128/")
    config = BodhiServerConfig()
    assert config.hub.proxy is not None
    assert config.hub.proxy.reveal() == "http://ada:hunter2@proxy.example:3128"
    (row,) = [row for row in config.rows() if row.name == "hub.proxy"]
    assert "hunter2" not in f"{row} {config!r} {config.hub!r} {HubAccess.of(config.hub)!r}"
    for wrong in ("proxy:3128", "socks5://a:1", "http://", "http://a/b", "http://a?b", "http://:x@a", "http://a b",
                  "http://a:99999"):  # fmt: skip
        monkeypatch.setenv("BODHI_HUB__PROXY", wrong)
        with pytest.raises(ConfigurationInvalid, match=r"hub\.proxy"):
            BodhiServerConfig()
