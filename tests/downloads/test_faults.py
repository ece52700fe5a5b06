"""Everything that the hub's script can do to a file, to a file in the queue: it comes whole, or fails with its name."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from bodhi_asgi import BodhiServer
from bodhi_asgi.downloads.errors import DownloadFailed
from bodhi_asgi.hub.errors import HubFileCorrupt, RedirectRefused
from tests.downloads.conftest import FAT
from tests.hub.server import Fault, Hub

REPO = "acme/fat-GGUF"
NAME = "fat-Q8_0.gguf"
CUT = Fault(cut_after=700_000)
INWARDS = Fault(location="http://169.254.169.254/latest/meta-data")

PASSING: dict[str, list[tuple[str, Fault]]] = {
    "a connection that breaks, three times": [("cdn", Fault(cut_after=300_000, times=3))],
    "a hub that fails when it is asked about the file": [("head", Fault(status=500)), ("head", Fault(status=503))],
    "a hub that fails in the middle": [("cdn", CUT), ("resolve", Fault(status=502))],
    "a content network that fails": [("cdn", Fault(status=504))],
    "a hub that asks for patience": [("cdn", Fault(status=429, headers={"retry-after": "0"}))],
    "a connection that stands still": [("cdn", Fault(hang_after=700_000))],
    "a content network whose signature has run out": [("cdn", CUT), ("cdn", Fault(status=403))],
    "a size that is another one than was announced": [("cdn", Fault(longer_by=100))],
    "a checksum that has changed in the middle": [
        ("cdn", CUT),
        ("resolve", Fault()),
        ("resolve", Fault(etag="0" * 64)),
    ],
    "the whole in place of the rest": [("cdn", CUT), ("cdn", Fault(ignores_ranges=True))],
    "no size": [("cdn", Fault(is_unsized=True))],
}

LASTING: dict[str, tuple[str, Fault, str]] = {
    "wrong bytes": ("cdn", Fault(wrong_byte_at=1_000_000), HubFileCorrupt.code),
    "a size that is always another one": ("cdn", Fault(longer_by=100, times=99), HubFileCorrupt.code),
    "an address inside": ("resolve", INWARDS, RedirectRefused.code),
    "an address inside before anything is sent": ("head", INWARDS, RedirectRefused.code),
}


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "hub": {**settings["hub"], "stall_timeout_s": 2}}


def loadable(settings: dict[str, Any]) -> Path | None:
    found = try_to_load_from_cache(REPO, NAME, cache_dir=settings["hub"]["cache_dir"])
    return Path(found) if isinstance(found, str) else None


@pytest.mark.parametrize("what", PASSING)
async def test_what_passes_costs_the_file_nothing(
    server: BodhiServer, hub: Hub, settings: dict[str, Any], what: str
) -> None:
    for route, fault in PASSING[what]:
        hub.fault(route, fault)
    model = await server.pull_model(f"{REPO}:Q8_0")
    async for now in model:
        assert now.state == "completed" or loadable(settings) is None or now.downloaded_bytes >= 2 * len(FAT)
    assert model.now.state == "completed", model.now
    path = loadable(settings)
    assert path is not None
    assert path.read_bytes() == FAT * 2
    report = scan_cache_dir(settings["hub"]["cache_dir"])
    assert (report.warnings, report.size_on_disk) == ([], model.now.total_bytes)
    assert not list(Path(settings["hub"]["cache_dir"]).rglob("*.part"))


@pytest.mark.parametrize("what", LASTING)
async def test_what_lasts_fails_with_its_name_and_leaves_nothing_to_load(
    server: BodhiServer, hub: Hub, settings: dict[str, Any], what: str
) -> None:
    route, fault, code = LASTING[what]
    hub.fault(route, fault)
    model = await server.pull_model(f"{REPO}:Q8_0")
    with pytest.raises(DownloadFailed):
        await model
    assert (model.now.error_code, model.now.status) == (code, "error")
    assert loadable(settings) is None
    assert (await server.aliases.list()).total == 0
    hub.mend()
    await server.downloads.retry(model.id)
    assert (await (await server.downloads.follow(model.id))).state == "completed"
    path = loadable(settings)
    assert path is not None
    assert path.read_bytes() == FAT * 2
