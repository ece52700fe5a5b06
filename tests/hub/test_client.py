"""What the hub has is asked in time, of nobody else, and nothing is told that nobody configured."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bodhi_asgi.errors import Invalid
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import (
    HubAnswerInvalid,
    HubOffline,
    HubReferenceInvalid,
    HubTokenRefused,
    HubUnreachable,
    RedirectRefused,
    RepositoryDisabled,
    RepositoryNotFound,
    RevisionNotFound,
)
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubReference, RepoFile
from bodhi_asgi.types import Secret
from tests.hub.server import Fault, Hub


@pytest.fixture
async def service(endpoint: str, tmp_path: Path) -> AsyncIterator[HubService]:
    made = HubService(access=HubAccess(endpoint, answer_timeout_s=60), cache=tmp_path)
    yield made
    await made.aclose()


def with_access(service: HubService, **changes: object) -> HubService:
    return HubService(access=replace(service.access, **changes), cache=service.cache)  # type: ignore[arg-type]


async def test_a_search_finds_what_is_downloaded_most_over_all_pages(hub: Hub, service: HubService) -> None:
    for number in range(5):
        hub.add(f"owner/model-{number}", {"model.gguf": b"x"}, downloads=number, is_gated=number == 4)
    hub.add("other/thing", {"model.gguf": b"x"})
    hub.add("owner/private-model", {"model.gguf": b"x"}, is_private=True)
    found = await service.search(" Model ", limit=4)
    assert [repo.repo for repo in found] == [f"owner/model-{number}" for number in (4, 3, 2, 1)]
    assert [repo.is_gated for repo in found] == [True, False, False, False]
    assert found[0].downloads == 4
    assert found[0].modified_at is not None
    assert len(hub.requests("models")) == 2
    assert "filter=gguf" in hub.requests("models")[0].query


async def test_details_give_every_file_with_size_and_checksum(hub: Hub, service: HubService) -> None:
    commit = hub.add("owner/model", {"b/model.gguf": b"weights", "README.md": b"# model"})
    details = await service.details("owner/model")
    assert details.commit == commit
    assert [(file.filename, file.size_bytes) for file in details.files] == [("README.md", 7), ("b/model.gguf", 7)]
    assert details.files[0] == RepoFile("README.md", 7)
    assert len(details.files[1].sha256 or "") == 64
    assert (await service.details("owner/model", commit)).commit == commit


async def test_names_that_are_tricks_are_not_listed(hub: Hub, service: HubService) -> None:
    hub.add("owner/model", {"../../x.gguf": b"x", "good.gguf": b"x", "a\\b.gguf": b"x"})
    assert [file.filename for file in (await service.details("owner/model")).files] == ["good.gguf"]


async def test_nothing_is_sent_but_what_is_configured(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.add("owner/private", {"model.gguf": b"x"}, is_private=True)
    hub.allow("hf_configured", "owner/private")
    monkeypatch.setenv("HF_TOKEN", "hf_of-the-host")
    before = dict(os.environ)
    await service.search("model")
    bearing = with_access(service, token=Secret("hf_configured"))
    await bearing.details("owner/private")
    await bearing.aclose()
    assert dict(os.environ) == before
    assert {seen.route for seen in hub.seen} == {"models", "info"}
    assert [seen.headers.get("authorization") for seen in hub.seen] == [None, "Bearer hf_configured"]
    assert {seen.headers["user-agent"] for seen in hub.seen} == {"bodhi_asgi"}


async def test_refusals_are_told_apart(hub: Hub, service: HubService) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.add("owner/private", {"model.gguf": b"x"}, is_private=True)
    hub.add("owner/disabled", {"model.gguf": b"x"}, is_disabled=True)
    for repo, revision, error in (
        ("owner/none", "main", RepositoryNotFound),
        ("owner/private", "main", RepositoryNotFound),
        ("owner/disabled", "main", RepositoryDisabled),
        ("owner/model", "v9", RevisionNotFound),
        ("owner", "main", HubReferenceInvalid),
        ("owner/model", "../x", HubReferenceInvalid),
    ):
        with pytest.raises(error):
            await service.details(repo, revision)
    wrong = with_access(service, token=Secret("hf_wrong"))
    with pytest.raises(HubTokenRefused):
        await wrong.details("owner/model")
    await wrong.aclose()


@pytest.mark.parametrize(("words", "limit"), [("", 5), (" ", 5), ("x" * 201, 5), ("a\nb", 5), ("a", 0), ("a", 101)])
async def test_a_search_without_words_or_limit_is_refused(service: HubService, words: str, limit: int) -> None:
    with pytest.raises(Invalid) as refused:
        await service.search(words, limit=limit)
    assert refused.value.param in ("search", "limit")


async def test_a_hub_that_is_dead_or_hangs_is_told_in_time(hub: Hub, service: HubService) -> None:
    gone = with_access(service, endpoint="http://127.0.0.1:1")
    with pytest.raises(HubUnreachable):
        await gone.search("model")
    with pytest.raises(HubUnreachable):
        await gone.details("owner/model")
    await gone.aclose()
    hurried = with_access(service, answer_timeout_s=0.2)
    hub.fault("models", Fault(hang_after=0, times=9))
    with pytest.raises(HubUnreachable, match="did not answer within"):
        await hurried.search("model")
    await hurried.aclose()


async def test_a_hub_that_stumbles_is_asked_again(hub: Hub, service: HubService) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.fault("models", Fault(status=503))
    hub.fault("info", Fault(status=500), Fault(status=429, headers={"retry-after": "0"}))
    assert len(await service.search("model")) == 1
    assert (await service.details("owner/model")).summary.repo == "owner/model"
    assert [len(hub.requests(route)) for route in ("models", "info")] == [2, 3]
    hub.fault("models", Fault(status=502, times=9))
    with pytest.raises(HubUnreachable, match="502"):
        await service.search("model")
    assert len(hub.requests("models")) == 5


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest", "http://10.0.0.1/api/models", "http://[fe80::1]/"])
async def test_a_question_is_not_led_inwards(hub: Hub, service: HubService, where: str) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.fault("models", Fault(location=where))
    hub.fault("info", Fault(location=where))
    for asking in (service.search("model"), service.details("owner/model")):
        with pytest.raises(RedirectRefused):
            await asking


async def test_the_next_page_is_the_same_endpoints_whatever_address_it_is_given(hub: Hub, service: HubService) -> None:
    for number in range(3):
        hub.add(f"owner/model-{number}", {"model.gguf": b"x"})
    links = ['<http://169.254.169.254/api/models?cursor=2&search=model>; rel="next"', '<http://[/>; rel="next"', "x"]
    for link, found in zip(links, (3, 2, 2), strict=True):
        hub.fault("models", Fault(headers={"link": link}))
        assert len(await service.search("model")) == found


async def test_an_answer_without_an_end_is_left(hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("owner/model", {f"{number}.gguf": b"x" for number in range(50)})
    monkeypatch.setattr("bodhi_asgi.hub.client.MAX_BYTES", 2000)
    with pytest.raises(HubAnswerInvalid, match="2,000 bytes"):
        await service.details("owner/model")


async def test_who_leaves_does_not_wait_for_the_hub(hub: Hub, service: HubService) -> None:
    hub.fault("info", Fault(hang_after=0))
    asking = asyncio.create_task(service.details("owner/model"))
    async with asyncio.timeout(60):
        while not hub.requests("info"):
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_an_answer_that_is_none_is_told_as_one(hub: Hub, service: HubService) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.fault("models", Fault(status=200))
    hub.fault("info", Fault(status=204), Fault(status=418))
    with pytest.raises(HubAnswerInvalid):
        await service.search("model")
    for _ in range(2):
        with pytest.raises(HubAnswerInvalid):
            await service.details("owner/model")
    hub.fault("models", Fault(status=404))
    with pytest.raises(HubAnswerInvalid, match="cannot be searched"):
        await service.search("model")


async def test_offline_nothing_is_asked(hub: Hub, service: HubService) -> None:
    offline = with_access(service, is_offline=True)
    with pytest.raises(HubOffline):
        await offline.search("model")
    assert hub.seen == []


async def test_addresses_of_the_configured_endpoint_are_understood(service: HubService) -> None:
    url = f"{service.access.endpoint}/owner/model/resolve/main/model.gguf"
    assert service.parse(url) == HubReference("owner/model", "main", "model.gguf")
    with pytest.raises(HubReferenceInvalid):
        service.parse("http://example.org/owner/model", param="path")
