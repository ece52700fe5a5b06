"""Which addresses are visited: the endpoint's own, public ones, and inner ones only from an inner hub of that kind."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpcore2
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bodhi_asgi import outbound
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import RedirectRefused
from bodhi_asgi.hub.transport import HubTransport, Whereabouts
from bodhi_asgi.outbound import AddressRefused, GuardedBackend, Kind, kind_of
from bodhi_asgi.types import Secret
from tests.hub.server import Hub, Place
from tests.servers import serving

PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
INNER = ["10.0.0.1", "172.16.5.4", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"]
HERE = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
NOWHERE = [
    *("0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"),
    *("100.64.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
]


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [(PUBLIC, Kind.GLOBAL), (INNER, Kind.PRIVATE), (HERE, Kind.LOOPBACK), (NOWHERE, Kind.OTHER)],
    ids=["public", "inner", "here", "nowhere"],
)
def test_an_address_is_of_the_kind_that_it_leads_to(addresses: list[str], kind: Kind) -> None:
    assert {address: kind_of(ip_address(address)) for address in addresses} == dict.fromkeys(addresses, kind)


@pytest.mark.parametrize(
    ("endpoint", "visited"),
    [("8.8.8.8", PUBLIC), ("10.1.1.1", PUBLIC + INNER), ("127.0.0.1", PUBLIC + HERE), ("169.254.1.1", PUBLIC)],
)
def test_from_a_hub_one_goes_outwards_or_stays_at_its_side(endpoint: str, visited: list[str]) -> None:
    whereabouts = Whereabouts("hub.example")
    assert not whereabouts.permits("cdn.example", ip_address("127.0.0.1")), "the hub has not been seen yet"
    assert whereabouts.permits("hub.example", ip_address(endpoint))
    permitted = [
        address
        for address in PUBLIC + INNER + HERE + NOWHERE
        if whereabouts.permits("cdn.example", ip_address(address))
    ]
    assert permitted == visited


async def test_a_name_that_leads_inwards_is_not_visited(hub: Hub, endpoint: str) -> None:
    port = httpx2.URL(endpoint).port
    asked = []

    def outwards(host: str, address: outbound.IPAddress) -> bool:
        asked.append((host, str(address)))
        return kind_of(address) is Kind.GLOBAL

    async with outbound.client(outwards, timeout_s=60, user_agent="tests") as client:
        with pytest.raises(AddressRefused):
            await client.get(f"http://localhost:{port}/api/models")
    assert ("localhost", "127.0.0.1") in asked
    assert hub.seen == []


async def test_the_next_address_is_tried_when_one_does_not_answer(hub: Hub, endpoint: str) -> None:
    port = httpx2.URL(endpoint).port
    async with outbound.client(lambda *_: True, timeout_s=60, user_agent="tests") as client:
        answer = await client.get(f"http://localhost:{port}/api/models")  # ::1 may be the first, where nobody listens
        assert answer.status_code == 200
        assert hub.seen[0].headers["user-agent"] == "tests"
        assert hub.seen[0].headers["accept-encoding"] == "identity"
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://127.0.0.1:1/")


async def test_a_name_that_means_nothing_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = GuardedBackend(lambda *_: True)
    with pytest.raises(httpcore2.ConnectError):
        await backend.connect_tcp("nothing.invalid", 80, timeout=60)
    with pytest.raises(httpcore2.ConnectError):
        await backend.connect_tcp("x" * 300, 80, timeout=60)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    with pytest.raises(httpcore2.ConnectTimeout):
        await backend.connect_tcp("slow.example", 80, timeout=0.01)


async def test_nothing_is_taken_from_the_environment(hub: Hub, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with outbound.client(lambda *_: True, timeout_s=60, user_agent="tests") as client:
        assert (await client.get(f"{endpoint}/api/models")).status_code == 200


async def test_an_encrypted_connection_goes_to_the_checked_address_under_the_name_of_the_host(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    self_signed("localhost", key, certificate)
    hub = Hub()
    hub.add("owner/model", {"model.gguf": b"x" * 500_000})
    trusting = ssl.create_default_context(cafile=str(certificate))
    files = {"ssl_keyfile": str(key), "ssl_certfile": str(certificate)}
    async with (
        serving(Place(hub, "hub"), **files) as address,
        outbound.client(lambda *_: True, timeout_s=60, user_agent="tests") as client,
    ):
        port = httpx2.URL(address).port
        url = f"https://localhost:{port}/owner/model/resolve/main/model.gguf"
        with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate"):
            await client.get(url)
        client._transport._pool._ssl_context = trusting  # type: ignore[attr-defined]
        assert (await client.get(url)).content == b"x" * 500_000
        with pytest.raises(httpx2.ConnectError, match=r"(?i)certificate"):
            await client.get(url.replace("localhost", "127.0.0.1"))


def self_signed(name: str, key: Path, certificate: Path) -> None:
    """A certificate that only who has it trusts."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(made.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def test_an_encrypted_hub_leads_to_encrypted_places_only() -> None:
    transport = HubTransport(HubAccess("https://hub.example"))
    assert transport._next("https://hub.example/a/b", "../c") == "https://hub.example/c"
    with pytest.raises(RedirectRefused, match="without encryption"):
        transport._next("https://hub.example/a", "http://hub.example/a")


@pytest.mark.parametrize(
    ("endpoint", "url", "has_it"),
    [
        ("https://hub.example", "https://hub.example/x", True),
        ("https://hub.example", "https://hub.example:443/x", True),
        ("https://hub.example/base", "https://hub.example/x", True),
        ("https://hub.example", "https://hub.example:444/x", False),
        ("https://hub.example", "http://hub.example/x", False),
        ("https://hub.example", "https://hub.example.org/x", False),
        ("https://hub.example", "https://cdn.hub.example/x", False),
        ("http://hub.example", "http://hub.example/x", False),
        ("http://localhost:8000", "http://localhost:8000/x", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/x", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/x", False),
        ("http://[::1]:8000", "http://[::1]:8000/x", True),
        ("http://192.168.1.5", "http://192.168.1.5/x", False),
    ],
)
def test_the_token_is_for_the_endpoint_itself_and_for_nobody_who_listens(endpoint: str, url: str, has_it: bool) -> None:
    access = HubAccess(endpoint, token=Secret("hf_secret"))
    assert (access.token_for(url) is not None) is has_it
    assert "hf_secret" not in repr(access)
