"""One file into the cache: huggingface_hub accepts what we made, and whatever breaks on the way ends well."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache

from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import (
    HubAnswerInvalid,
    HubFileCorrupt,
    HubFileNotFound,
    HubOffline,
    HubRateLimited,
    HubTokenRefused,
    HubUnreachable,
    RedirectRefused,
    RepositoryDisabled,
    RepositoryGated,
    RepositoryNotFound,
    RevisionNotFound,
)
from bodhi_asgi.hub.fetch import FetchedFile, describe, fetch
from bodhi_asgi.hub.transport import HubTransport
from bodhi_asgi.hub.types import HubFile
from bodhi_asgi.types import Secret
from tests.hub.server import Fault, Hub

WEIGHTS = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILE = HubFile("owner/model", "model.gguf")


@pytest.fixture
async def transport(endpoint: str) -> AsyncIterator[HubTransport]:
    """A quick one: what shall be waited for is a moment."""
    made = HubTransport(HubAccess(endpoint, answer_timeout_s=60, stall_timeout_s=60, retries=3, first_delay_s=0.01))
    yield made
    await made.aclose()


async def impatient(transport: HubTransport, fault: Fault) -> HubTransport:
    """The same hub, and less time if it hangs."""
    await transport.aclose()
    timeout_s = 60.0 if fault.hang_after is None else 2.0
    return HubTransport(replace(transport.access, answer_timeout_s=timeout_s, stall_timeout_s=timeout_s))


def files_of(cache: Path) -> set[str]:
    """What lies in the cache, without locks and the tag."""
    found = {str(path.relative_to(cache)) for path in cache.rglob("*") if not path.is_dir()}
    return {name for name in found if not name.startswith((".locks", "CACHEDIR.TAG"))}


def parts_of(cache: Path) -> list[Path]:
    return list(cache.rglob("*.part"))


async def test_huggingface_hub_knows_what_we_fetched_as_its_own(
    hub: Hub, endpoint: str, transport: HubTransport, tmp_path: Path
) -> None:
    commit = hub.add("owner/model", {"model.gguf": WEIGHTS, "sub/config.json": b"{}"})
    told: list[tuple[int, int]] = []
    fetched = await fetch(transport, FILE, tmp_path, progress=lambda done, total: told.append((done, total)))
    small = await fetch(transport, HubFile("owner/model", "sub/config.json"), tmp_path)
    assert fetched.path.read_bytes() == WEIGHTS
    assert fetched.received_bytes == len(WEIGHTS)
    assert (fetched.remote.commit, fetched.remote.etag) == (commit, SHA256)
    assert small.path.read_bytes() == b"{}"
    assert told[0] == (0, len(WEIGHTS))
    assert told[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert told == sorted(told)
    root = "models--owner--model"
    assert files_of(tmp_path) == {
        f"{root}/blobs/{SHA256}",
        f"{root}/blobs/{small.remote.etag}",
        f"{root}/snapshots/{commit}/model.gguf",
        f"{root}/snapshots/{commit}/sub/config.json",
        f"{root}/refs/main",
    }
    assert not fetched.path.readlink().is_absolute()
    hub.seen.clear()
    for name, ours in (("model.gguf", fetched), ("sub/config.json", small)):
        assert try_to_load_from_cache("owner/model", name, cache_dir=tmp_path) == str(ours.path)
        theirs = await asyncio.to_thread(
            hf_hub_download, "owner/model", name, endpoint=endpoint, cache_dir=tmp_path, token=False
        )
        assert theirs == str(ours.path)
    assert hub.sent_bytes == 0
    report = await asyncio.to_thread(scan_cache_dir, tmp_path)
    assert report.warnings == []
    (repo,) = report.repos
    assert (repo.repo_id, repo.nb_files, repo.size_on_disk) == ("owner/model", 2, len(WEIGHTS) + 2)
    (revision,) = repo.revisions
    assert (revision.commit_hash, revision.refs) == (commit, {"main"})
    report.delete_revisions(commit).execute()
    assert parts_of(tmp_path) == []


async def test_what_is_here_is_not_fetched_again(
    hub: Hub, endpoint: str, transport: HubTransport, tmp_path: Path
) -> None:
    first = hub.add("owner/model", {"model.gguf": WEIGHTS})
    theirs = await asyncio.to_thread(
        hf_hub_download, "owner/model", "model.gguf", endpoint=endpoint, cache_dir=tmp_path, token=False
    )
    sent = hub.sent_bytes
    assert (await fetch(transport, FILE, tmp_path)).path == Path(theirs)
    second = hub.add("owner/model", {"README.md": b"# new"})
    again = await fetch(transport, FILE, tmp_path)
    assert hub.sent_bytes == sent
    assert again.received_bytes == 0
    assert first != second == again.path.parent.name
    assert (tmp_path / "models--owner--model" / "refs" / "main").read_text() == second
    assert again.path.samefile(theirs)


async def test_a_revision_is_fetched_as_it_was_then(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    old = hub.add("owner/model", {"model.gguf": b"old" * 100, "empty.bin": b""})
    hub.add("owner/model", {"model.gguf": b"new" * 100})
    hub.add("owner/model", {"model.gguf": b"pull"}, revision="refs/pr/1")
    at_commit = await fetch(transport, HubFile("owner/model", "model.gguf", old), tmp_path)
    assert at_commit.path.read_bytes() == b"old" * 100
    at_branch = await fetch(transport, HubFile("owner/model", "model.gguf", "refs/pr/1"), tmp_path)
    assert at_branch.path.read_bytes() == b"pull"
    assert (tmp_path / "models--owner--model" / "refs" / "refs" / "pr" / "1").read_text() == at_branch.remote.commit
    empty = await fetch(transport, HubFile("owner/model", "empty.bin", old), tmp_path)
    assert empty.path.read_bytes() == b""


@pytest.mark.parametrize("with_token", [False, True])
async def test_the_token_goes_to_the_endpoint_and_to_nobody_else(
    hub: Hub, transport: HubTransport, tmp_path: Path, with_token: bool
) -> None:
    hub.add("owner/private", {"model.gguf": WEIGHTS}, is_private=True)
    hub.allow("hf_secret", "owner/private")
    file = HubFile("owner/private", "model.gguf")
    if not with_token:
        with pytest.raises(RepositoryNotFound):
            await fetch(transport, file, tmp_path)
        return
    bearing = HubTransport(replace(transport.access, token=Secret("hf_secret")))
    try:
        await fetch(bearing, file, tmp_path)
    finally:
        await bearing.aclose()
    by_place = {seen.place: seen.headers.get("authorization") for seen in hub.seen}
    assert by_place == {"hub": "Bearer hf_secret", "cdn": None}


@pytest.mark.parametrize(
    ("repo", "filename", "revision", "error"),
    [
        ("owner/none", "model.gguf", "main", RepositoryNotFound),
        ("owner/private", "model.gguf", "main", RepositoryNotFound),
        ("owner/gated", "model.gguf", "main", RepositoryGated),
        ("owner/disabled", "model.gguf", "main", RepositoryDisabled),
        ("owner/model", "none.gguf", "main", HubFileNotFound),
        ("owner/model", "model.gguf", "v9", RevisionNotFound),
    ],
)
async def test_a_refusal_of_the_hub_is_an_error_of_its_own(
    hub: Hub, transport: HubTransport, tmp_path: Path, repo: str, filename: str, revision: str, error: type[Exception]
) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    hub.add("owner/gated", {"model.gguf": b"x"}, is_gated=True)
    hub.add("owner/private", {"model.gguf": b"x"}, is_private=True)
    hub.add("owner/disabled", {"model.gguf": b"x"}, is_disabled=True)
    with pytest.raises(error) as refused:
        await fetch(transport, HubFile(repo, filename, revision), tmp_path)
    assert repo in str(refused.value)
    assert len(hub.seen) == 1, "what is refused is not asked for again"
    assert files_of(tmp_path) == set()


async def test_a_token_that_the_hub_does_not_know_is_named(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": b"x"})
    bearing = HubTransport(replace(transport.access, token=Secret("hf_wrong")))
    try:
        with pytest.raises(HubTokenRefused) as refused:
            await fetch(bearing, FILE, tmp_path)
    finally:
        await bearing.aclose()
    assert "hf_wrong" not in str(refused.value)


@pytest.mark.parametrize("route", ["head", "resolve", "cdn"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, times=3),
        Fault(status=500),
        Fault(status=429, headers={"retry-after": "0"}),
        Fault(hang_after=0),
    ],
    ids=["503", "500", "429", "hang"],
)
async def test_a_fault_that_passes_is_waited_out(
    hub: Hub, transport: HubTransport, tmp_path: Path, route: str, fault: Fault
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault(route, fault)
    transport = await impatient(transport, fault)
    try:
        fetched = await fetch(transport, FILE, tmp_path)
    finally:
        await transport.aclose()
    assert fetched.path.read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS)


@pytest.mark.parametrize("route", ["head", "resolve", "cdn"])
async def test_a_fault_that_stays_is_told_and_what_arrived_is_kept(
    hub: Hub, transport: HubTransport, tmp_path: Path, route: str
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault(route, Fault(status=502, times=4))
    with pytest.raises(HubUnreachable, match="502"):
        await fetch(transport, FILE, tmp_path)
    assert files_of(tmp_path) <= {f"models--owner--model/blobs/{SHA256}.bodhi.part"}
    assert (await fetch(transport, FILE, tmp_path)).path.read_bytes() == WEIGHTS


async def test_who_shall_come_back_much_later_is_told_when(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(status=429, headers={"retry-after": "3600"}))
    with pytest.raises(HubRateLimited) as limited:
        await fetch(transport, FILE, tmp_path)
    assert limited.value.retry_after_s == 3600


async def test_a_hub_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    transport = HubTransport(HubAccess("http://127.0.0.1:1", retries=1, first_delay_s=0.01))
    try:
        with pytest.raises(HubUnreachable, match="no connection"):
            await describe(transport, FILE)
    finally:
        await transport.aclose()


@pytest.mark.parametrize("fault", [Fault(cut_after=1_000_000), Fault(hang_after=1_000_000)], ids=["cut", "hang"])
async def test_a_broken_connection_is_taken_up_at_its_byte(
    hub: Hub, transport: HubTransport, tmp_path: Path, fault: Fault
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", fault)
    transport = await impatient(transport, fault)
    try:
        fetched = await fetch(transport, FILE, tmp_path)
    finally:
        await transport.aclose()
    assert fetched.path.read_bytes() == WEIGHTS
    assert [seen.begin for seen in hub.requests("cdn")] == [0, 1_000_000]
    assert hub.sent_bytes == len(WEIGHTS)


async def test_a_connection_that_breaks_again_and_again_but_brings_bytes_is_never_given_up(
    hub: Hub, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(cut_after=200_000, times=14))
    assert (await fetch(transport, FILE, tmp_path)).path.read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS)


async def test_a_server_without_ranges_sends_all_of_it_again(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(cut_after=1_000_000), Fault(ignores_ranges=True))
    assert (await fetch(transport, FILE, tmp_path)).path.read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS) + 1_000_000


async def test_wrong_bytes_are_thrown_away(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS, "small.json": b"{}"})
    hub.fault("cdn", Fault(wrong_byte_at=12_345))
    hub.fault("resolve", Fault(), Fault(wrong_byte_at=1))
    for name in ("model.gguf", "small.json"):
        with pytest.raises(HubFileCorrupt):
            await fetch(transport, HubFile("owner/model", name), tmp_path)
        assert files_of(tmp_path) == set()
        assert try_to_load_from_cache("owner/model", name, cache_dir=tmp_path) is None


@pytest.mark.parametrize("difference", [1000, -1000])
async def test_another_size_than_announced_is_no_file(
    hub: Hub, transport: HubTransport, tmp_path: Path, difference: int
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(longer_by=difference, times=3))
    with pytest.raises(HubFileCorrupt, match="otherwise than the hub announces it"):
        await fetch(transport, FILE, tmp_path)
    assert files_of(tmp_path) == set()
    hub.fault("head", Fault(longer_by=difference, times=3))
    with pytest.raises(HubFileCorrupt):
        await fetch(transport, FILE, tmp_path)
    assert files_of(tmp_path) == set()


async def test_a_file_that_changes_in_the_middle_is_fetched_as_it_is_then(
    hub: Hub, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    other = WEIGHTS[::-1]

    def change() -> None:
        hub.add("owner/model", {"model.gguf": other})

    hub.fault("cdn", Fault(cut_after=1_000_000, call_at=500_000, hook=change))
    hub.fault("resolve", Fault(), Fault(etag="0" * 64))
    fetched = await fetch(transport, FILE, tmp_path)
    assert fetched.path.read_bytes() == other
    assert parts_of(tmp_path) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403),
        Fault(status=410),
        Fault(status=416),
        Fault(headers={"content-range": "bytes 0-999999/3000000"}),
        Fault(headers={"content-range": "nonsense"}),
        Fault(is_unsized=True, longer_by=-5000),
        Fault(is_unsized=True, longer_by=5000, ignores_ranges=True),
    ],
    ids=["expired", "gone", "no range", "other range", "no words", "too short", "too long"],
)
async def test_a_strange_answer_in_the_middle_is_not_believed(
    hub: Hub, transport: HubTransport, tmp_path: Path, fault: Fault
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(cut_after=1_000_000), fault)
    assert (await fetch(transport, FILE, tmp_path)).path.read_bytes() == WEIGHTS
    assert parts_of(tmp_path) == []


async def test_a_part_that_was_spoiled_on_the_disk_is_noticed_and_fetched_anew(
    hub: Hub, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    blobs = tmp_path / "models--owner--model" / "blobs"
    blobs.mkdir(parents=True)
    for spoiled in (b"\0" * 500_000, b"\0" * (len(WEIGHTS) + 1)):
        (blobs / f"{SHA256}.bodhi.part").write_bytes(spoiled)
        fetched = await fetch(transport, FILE, tmp_path)
        assert fetched.path.read_bytes() == WEIGHTS
        (blobs / SHA256).unlink()


async def test_who_died_between_the_last_byte_and_the_name_has_nothing_fetched_again(
    hub: Hub, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    blobs = tmp_path / "models--owner--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{SHA256}.bodhi.part").write_bytes(WEIGHTS)
    fetched = await fetch(transport, FILE, tmp_path)
    assert fetched.path.read_bytes() == WEIGHTS
    assert (fetched.received_bytes, hub.sent_bytes, parts_of(tmp_path)) == (0, 0, [])


async def test_a_cancelled_fetch_ends_at_once_and_goes_on_where_it_was(
    hub: Hub, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    halfway = asyncio.Event()
    hub.fault("cdn", Fault(hang_after=1_000_000))

    def note(done: int, total: int) -> None:
        if done >= 900_000:
            halfway.set()

    task = asyncio.create_task(fetch(transport, FILE, tmp_path, progress=note))
    async with asyncio.timeout(60):
        await halfway.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    hub.mend()
    hub.seen.clear()
    fetched = await fetch(transport, FILE, tmp_path)
    assert fetched.path.read_bytes() == WEIGHTS
    assert hub.requests("cdn")[0].begin >= 900_000
    assert fetched.received_bytes <= 2_100_000


async def test_two_who_want_the_same_file_fetch_it_once(
    hub: Hub, endpoint: str, transport: HubTransport, tmp_path: Path
) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    hub.fault("cdn", Fault(pause_s=0.002))
    others = HubTransport(transport.access)
    try:
        fetched = await asyncio.gather(
            *(fetch(which, FILE, tmp_path) for which in (transport, others, transport)),
            asyncio.to_thread(
                hf_hub_download, "owner/model", "model.gguf", endpoint=endpoint, cache_dir=tmp_path, token=False
            ),
        )
    finally:
        await others.aclose()
    paths = {str(done.path if isinstance(done, FetchedFile) else done) for done in fetched}
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS)


async def test_redirects_inwards_are_not_followed(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    for location in (
        *("http://10.0.0.1/x", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data", "http://0.0.0.0:80/"),
        *("http://[::ffff:10.0.0.1]/", "http://[fe80::1]/", "http://[64:ff9b::a00:1]/", "http://100.64.0.1/"),
        *("ftp://example.org/x", "file:///etc/passwd", "http://u:p@example.org/", "http://["),
    ):
        hub.fault("resolve", Fault(location=location))
        with pytest.raises(RedirectRefused):
            await fetch(transport, FILE, tmp_path)
    hub.fault("resolve", Fault(location=transport.access.url_of(FILE), times=9))
    with pytest.raises(RedirectRefused, match="more than 5"):
        await fetch(transport, FILE, tmp_path)


async def test_an_answer_without_what_counts_is_refused(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS, "small.json": b"{}"})
    for fault in (
        Fault(etag="../../../etc/passwd"),
        Fault(etag="no-checksum"),
        Fault(headers={"x-repo-commit": "../.."}),
        Fault(headers={"x-linked-size": "-1"}),
        Fault(headers={"x-linked-size": "9" * 30}),
        Fault(status=418),
        Fault(status=204),
    ):
        hub.fault("head", fault)
        with pytest.raises(HubAnswerInvalid):
            await fetch(transport, FILE, tmp_path)
    hub.fault("resolve", Fault(headers={"content-encoding": "gzip"}))
    with pytest.raises(HubAnswerInvalid, match="compressed"):
        await fetch(transport, HubFile("owner/model", "small.json"), tmp_path)


async def test_offline_the_hub_is_not_asked(hub: Hub, transport: HubTransport, tmp_path: Path) -> None:
    offline = HubTransport(replace(transport.access, is_offline=True))
    try:
        with pytest.raises(HubOffline):
            await fetch(offline, FILE, tmp_path)
    finally:
        await offline.aclose()
    assert hub.seen == []
    assert list(tmp_path.iterdir()) == []
