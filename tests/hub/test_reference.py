"""What people write for a model of the hub is understood, and a trick is refused, whatever part it stands in."""

import re
from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.hub.errors import HubReferenceInvalid
from bodhi_asgi.hub.reference import check_file, check_filename, check_quant, check_repo, check_revision, parse
from bodhi_asgi.hub.types import HubReference
from tests.hub.tricks import BAD_QUANTS, BAD_REPOS, BAD_REVISIONS, CLIMBING

FILE = HubReference("owner/repo", "main", "model-Q4_K_M.gguf")
QUANT = HubReference("owner/repo", "main", None, "Q4_K_M")
PULL = "refs/pr/1"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("owner/repo", HubReference("owner/repo")),
        ("  owner/repo\n", HubReference("owner/repo")),
        ("owner/repo:Q4_K_M", QUANT),
        ("owner/repo:latest", HubReference("owner/repo")),
        ("owner/repo@v1", HubReference("owner/repo", "v1")),
        ("owner/repo@v1:Q4_K_M", HubReference("owner/repo", "v1", None, "Q4_K_M")),
        ("owner/repo:Q4_K_M@v1", HubReference("owner/repo", "v1", None, "Q4_K_M")),
        ("owner/repo@refs%2Fpr%2F1", HubReference("owner/repo", PULL)),
        ("owner/repo@refs%2fpr%2f1/a.gguf", HubReference("owner/repo", PULL, "a.gguf")),
        ("owner/repo/model-Q4_K_M.gguf", FILE),
        ("owner/repo/UD-Q4/a b (1).gguf", HubReference("owner/repo", "main", "UD-Q4/a b (1).gguf")),
        ("owner/repo/Größe/模型.gguf", HubReference("owner/repo", "main", "Größe/模型.gguf")),
        ("hf:owner/repo:Q4_K_M", QUANT),
        ("HF:owner/repo", HubReference("owner/repo")),
        ("hf://owner/repo/model-Q4_K_M.gguf", FILE),
        ("hf://owner/repo@v1", HubReference("owner/repo", "v1")),
        ("hf.co/owner/repo:Q4_K_M", QUANT),
        ("huggingface.co/owner/repo", HubReference("owner/repo")),
        ("https://huggingface.co/owner/repo", HubReference("owner/repo")),
        ("https://huggingface.co:443/owner/repo/", HubReference("owner/repo")),
        ("https://hf.co/owner/repo:Q4_K_M", QUANT),
        ("https://huggingface.co/owner/repo/tree/main", HubReference("owner/repo")),
        ("https://huggingface.co/owner/repo/blob/main/model-Q4_K_M.gguf", FILE),
        ("https://huggingface.co/owner/repo/resolve/main/model-Q4_K_M.gguf?download=true", FILE),
        (
            "https://huggingface.co/owner/repo/resolve/refs%2Fpr%2F1/a%20b.gguf",
            HubReference("owner/repo", PULL, "a b.gguf"),
        ),
        ("_o.w-n_/r.e-p_o", HubReference("_o.w-n_/r.e-p_o")),
    ],
)
def test_what_people_write_is_understood_and_written_back(text: str, meant: HubReference) -> None:
    assert parse(text) == meant
    assert parse(str(meant)) == meant


def test_an_address_of_a_mirror_is_one_when_the_mirror_is_configured() -> None:
    text = "http://mirror.local:8080/owner/repo/resolve/main/model-Q4_K_M.gguf"
    with pytest.raises(HubReferenceInvalid, match="only addresses of the hub"):
        parse(text)
    assert parse(text, hosts={"mirror.local:8080"}) == FILE


def test_there_are_hundreds_of_tricks() -> None:
    for table in (CLIMBING, BAD_REPOS, BAD_REVISIONS, BAD_QUANTS):
        assert len(set(table)) == len(table)
    assert len(CLIMBING) + len(BAD_REPOS) + len(BAD_REVISIONS) + len(BAD_QUANTS) > 250


@pytest.mark.parametrize("name", CLIMBING, ids=ascii)
def test_a_file_name_that_is_none_everywhere_is_refused(name: str) -> None:
    for placed in (name, f"folder/{name}", f"{name}/model.gguf", f"a/{name}/b.gguf"):
        with pytest.raises(HubReferenceInvalid) as refused:
            check_filename(placed)
        assert refused.value.param == "filename"
        assert refused.value.message.isprintable()
        with pytest.raises(HubReferenceInvalid) as refused:
            parse(f"owner/repo/{placed}x"[:-1] if placed.strip() == placed else f"owner/repo/{placed}/x")
        assert refused.value.param == "model"


@pytest.mark.parametrize("repo", BAD_REPOS, ids=ascii)
def test_a_repository_that_is_none_is_refused(repo: str) -> None:
    with pytest.raises(HubReferenceInvalid) as refused:
        check_file(repo, "model.gguf")
    assert refused.value.param == "repo"
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("revision", BAD_REVISIONS, ids=ascii)
def test_a_revision_that_is_none_is_refused(revision: str) -> None:
    with pytest.raises(HubReferenceInvalid) as refused:
        check_file("owner/repo", "model.gguf", revision)
    assert refused.value.param == "snapshot"
    assert refused.value.message.isprintable()
    with pytest.raises(HubReferenceInvalid):
        check_revision(revision)


@pytest.mark.parametrize("quant", BAD_QUANTS, ids=ascii)
def test_a_quantisation_that_is_none_is_refused(quant: str) -> None:
    with pytest.raises(HubReferenceInvalid) as refused:
        check_quant(quant)
    assert refused.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "owner", "owner/", "/owner/repo", "owner/repo/", "owner/repo:", "owner/repo@", "owner/repo@:Q4"),
        *(
            "owner/repo:Q4:Q5",
            "owner/repo:Q4@v1:Q5",
            "owner/repo:Q4/model.gguf",
            "owner/repo@v1@v2",
            "hf:",
            "hf://",
            "hf:x",
        ),
        *(
            "https://huggingface.co",
            "https://huggingface.co/",
            "https://huggingface.co/owner",
            "https://[",
            "https://[x]/a/b",
        ),
        *(
            "https://example.org/owner/repo",
            "https://huggingface.co.example.org/o/r",
            "https://huggingface.co@example.org/o/r",
        ),
        *("https://user:password@huggingface.co/o/r", "https://huggingface.co:8443/o/r", "https://127.0.0.1/o/r"),
        *(
            "https://huggingface.co/o/r/settings",
            "https://huggingface.co/o/r/tree/main/folder",
            "https://huggingface.co/o/r/blob",
        ),
        *("https://huggingface.co/o/r/raw/main/../../x", "https://huggingface.co/o/r/resolve/main/%2e%2e/x"),
        *(
            "https://huggingface.co/o/r/resolve/main/x%2f..%2fy",
            "https://huggingface.co/o%2fr/x",
            "ftp://huggingface.co/o/r",
        ),
        *("file:///etc/passwd", "https://huggingface.co\\@example.org/o/r", "https://huggingface.co#@example.org/o/r"),
        *("datasets/owner/repo/x\\y", "owner/repo" * 300, "~/models/x", "./owner/repo", "../owner/repo", "C:/models/x"),
    ],
    ids=ascii,
)
def test_what_is_no_reference_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(HubReferenceInvalid) as refused:
        parse(text, param="models.0")
    assert refused.value.param in ("models.0", "quant")
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 600


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(HubReferenceInvalid) as refused:
        parse("https://somebody:hunter2@huggingface.co/owner/repo")
    assert "hunter2" not in refused.value.message


@given(st.text(max_size=60) | st.from_regex(re.compile(r"[./\\%a-z:~ ]{1,30}"), fullmatch=True))
def test_whatever_is_accepted_as_a_file_stays_below_its_folder(name: str) -> None:
    try:
        check_filename(name)
    except HubReferenceInvalid:
        return
    path = PurePosixPath("/cache") / name
    assert path.is_relative_to("/cache")
    assert path.parts == ("/", "cache", *name.split("/"))
    assert not {"", ".", ".."} & set(path.parts)
    assert parse(f"owner/repo/{name}").file == name
    assert parse(f"https://huggingface.co/owner/repo/blob/main/{quote(name)}").file == name


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except HubReferenceInvalid:
        return
    assert check_repo(found.repo) == found.repo
    assert parse(str(found)) == found
