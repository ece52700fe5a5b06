"""A model on the hub shows what it is before anything of its weights is fetched."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubFileNotFound
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubFile
from tests.hub.server import Fault, Hub

FILE = HubFile("owner/model", "demo.gguf")


@pytest.fixture
async def service(endpoint: str, tmp_path: Path) -> AsyncIterator[HubService]:
    made = HubService(access=HubAccess(endpoint, answer_timeout_s=60, first_delay_s=0.01), cache=tmp_path)
    yield made
    await made.aclose()


async def test_the_header_of_a_remote_model_is_read_by_ranges(hub: Hub, service: HubService, tmp_path: Path) -> None:
    commit = hub.add("owner/model", {"demo.gguf": DEMO_MODEL_PATH})
    hub.fault("cdn", Fault(cut_after=1000), Fault(status=503))
    remote, header = await service.peek(FILE)
    assert remote.size_bytes == DEMO_MODEL_PATH.stat().st_size
    assert remote.commit == commit
    assert header.architecture == "llama"
    assert header.number("context_length") > 0
    assert "tokenizer.chat_template" in header.metadata
    assert hub.sent_bytes < remote.size_bytes
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_is_no_model_is_told(hub: Hub, service: HubService) -> None:
    hub.add("owner/model", {"demo.gguf": b"no model at all" * 1000, "empty.gguf": b""})
    for name in ("demo.gguf", "empty.gguf"):
        with pytest.raises(GgufInvalid):
            await service.peek(HubFile("owner/model", name))
    with pytest.raises(HubFileNotFound):
        await service.peek(HubFile("owner/model", "none.gguf"))


async def test_bytes_are_those_asked_for_whatever_the_server_makes_of_ranges(hub: Hub, service: HubService) -> None:
    data = bytes(range(256)) * 2000
    hub.add("owner/model", {"demo.gguf": data})
    assert await service.read(FILE, 1000, 3000) == data[1000:3000]
    assert await service.read(FILE, 511_000, 600_000) == data[511_000:]
    assert await service.read(FILE, 5, 5) == b""
    hub.fault("cdn", Fault(ignores_ranges=True))
    assert await service.read(FILE, 100_000, 300_000) == data[100_000:300_000]
    for lie in (
        {"content-range": "bytes 7-8/9"},
        {"content-range": "bytes 1000-2999/10"},
        {"content-range": "nonsense"},
        {"content-encoding": "gzip"},
    ):
        hub.fault("cdn", Fault(headers=lie))
        with pytest.raises(HubAnswerInvalid):
            await service.read(FILE, 1000, 3000)


async def test_a_revision_is_noted_for_those_who_find_files_by_it(hub: Hub, service: HubService) -> None:
    commit = hub.add("owner/model", {"demo.gguf": b"x"})
    fetched = await service.fetch(HubFile("owner/model", "demo.gguf", commit))
    refs = fetched.path.parents[2] / "refs"
    assert not refs.exists()
    await service.note("owner/model", "main", commit)
    await service.note("owner/model", commit, commit)
    assert [(path.name, path.read_text()) for path in refs.iterdir()] == [("main", commit)]
