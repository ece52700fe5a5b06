"""How people name models of the hub, and nothing else: ``owner/repo``, ``owner/repo:Q4_K_M``, a file, or an address.

Strict on purpose: each part becomes a part of a path or of a URL, so what is not plainly a name is refused here, once.
Names of repositories follow the hub's own rules; names of files are what every file system we run on can hold.
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Final
from urllib.parse import unquote, urlsplit

from bodhi_asgi.hub.errors import HubReferenceInvalid
from bodhi_asgi.hub.types import MAIN, HubFile, HubReference
from bodhi_asgi.settings.checks import without_password

MAX_CHARS: Final = 2048
MAX_REVISION: Final = 255
MAX_FILE_BYTES: Final = 1024
MAX_SEGMENTS: Final = 16
MAX_SEGMENT_BYTES: Final = 255
HOSTS: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})

NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
REVISION: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._+/-]{0,253}[A-Za-z0-9_+-])?")
QUANT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
FORBIDDEN: Final = re.compile(r'[\\:*?"<>|\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}')
DEVICE: Final = re.compile(r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])(\.|$)")
INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SCHEME: Final = re.compile(r"(?i:https?|hf)://")
VIEWS: Final = frozenset({"resolve", "blob", "raw", "tree"})
LATEST: Final = "latest"
MADE_UP_OWNER: Final = "local"
MADE_UP: Final = frozenset({"bodhi/settings"})
"""Repositories that are none of the hub: files of plain folders, and the models of the settings, stand there."""
ACCEPTED: Final = "owner/repo, owner/repo:Q4_K_M or owner/repo/file.gguf is accepted, with @revision after the repo"


def parse(text: str, *, hosts: Collection[str] = HOSTS, param: str = "model") -> HubReference:
    """What ``text`` names. ``hosts`` are the hub's, with their ports if any; addresses at others are refused.

    Accepted are ``owner/repo``, ``owner/repo:quant``, ``owner/repo/path/file``, each with ``@revision`` after the repo
    (a slash in it as ``%2F``) and with ``hf:``, ``hf://``, ``hf.co/`` or ``huggingface.co/`` in front; and the address
    of a repository's or a file's page. Raises HubReferenceInvalid.
    """
    if len(text) > MAX_CHARS:
        raise HubReferenceInvalid(
            f"a model's reference has {len(text)} characters, and at most {MAX_CHARS} are read", param=param
        )
    text = text.strip()
    try:
        return _of_address(text, hosts, param) if SCHEME.match(text) else _of_words(text, hosts, param)
    except HubReferenceInvalid as error:
        if error.param != param:
            raise
        raise HubReferenceInvalid(f"{_brief(text)} names no model of the hub: {error.message}", param=param) from None


def check_file(repo: str, filename: str, revision: str = MAIN) -> HubFile:
    """The three parts, each checked. Raises HubReferenceInvalid whose ``param`` is the part that is wrong."""
    return HubFile(
        check_repo(repo, param="repo"),
        check_filename(filename, param="filename"),
        check_revision(revision, param="snapshot"),
    )


def check_repo(repo: str, *, param: str = "repo") -> str:
    """``owner/name`` by the hub's own rules: letters, digits and ``. _ -``, at most 96 each, no ``--`` or ``..``."""
    owner, slash, name = repo.partition("/")
    is_named = bool(slash) and all(NAME.fullmatch(part) is not None for part in (owner, name))
    if not is_named or "--" in repo or ".." in repo or name.lower().endswith(".git"):
        raise HubReferenceInvalid(
            f"{_brief(repo)} is no repository: owner/name is accepted, each of up to 96 letters, digits and . _ - "
            "with a letter or digit at both ends, without '..' and '--'",
            param=param,
        )
    return repo


def is_made_up(repo: str) -> bool:
    """Whether a repository is one of this server's own making, whose files are on the machine and nowhere else."""
    plain = repo.lower()
    return plain in MADE_UP or plain.partition("/")[0] == MADE_UP_OWNER


def check_of_the_hub(repo: str, *, param: str = "repo") -> str:
    """A repository that the hub could have. Raises HubReferenceInvalid."""
    check_repo(repo, param=param)
    if is_made_up(repo):
        raise HubReferenceInvalid(
            f"'{repo}' is no repository of the hub: under that name this server offers what it has by its settings",
            param=param,
            repo=repo,
        )
    return repo


def check_revision(revision: str, *, param: str = "revision") -> str:
    """A branch, a tag or a commit, at most 255 characters, by Git's rules for names without their oddities."""
    parts = revision.split("/")
    is_plain = REVISION.fullmatch(revision) is not None and ".." not in revision
    if not is_plain or any(not part or part[0] in ".-" or part.endswith((".", ".lock")) for part in parts):
        raise HubReferenceInvalid(
            f"{_brief(revision)} is no revision: a branch, a tag or a commit of up to {MAX_REVISION} letters, digits "
            "and . _ + / - is accepted",
            param=param,
        )
    return revision


def check_quant(quant: str, *, param: str = "quant") -> str:
    """The name of a quantisation, such as ``Q4_K_M``."""
    if QUANT.fullmatch(quant) is None or ".." in quant:
        raise HubReferenceInvalid(f"{_brief(quant)} is no quantisation: a name such as Q4_K_M is accepted", param=param)
    return quant


def check_filename(filename: str, *, param: str = "filename") -> str:
    """A relative path with ``/`` between folders that means the same on every system and stays below its root."""
    problem = _wrong_with(filename)
    if problem is not None:
        raise HubReferenceInvalid(f"{_brief(filename)} is no file of a repository: {problem}", param=param)
    return filename


def _wrong_with(filename: str) -> str | None:
    if any(unicodedata.category(char) in INVISIBLE for char in filename):
        return "it has an invisible character"
    if len(filename.encode()) > MAX_FILE_BYTES:
        return f"it has more than {MAX_FILE_BYTES} bytes"
    segments = filename.split("/")
    if len(segments) > MAX_SEGMENTS:
        return f"it lies more than {MAX_SEGMENTS} folders deep"
    return next((problem for segment in segments if (problem := _wrong_with_segment(segment))), None)


def _wrong_with_segment(segment: str) -> str | None:
    # What only looks like a dot or a slash becomes one where names are normalised.
    plain = unicodedata.normalize("NFKC", segment)
    if plain.strip(". ") == "" or ("/" in plain):
        return "a name between slashes is empty, or dots alone"
    if FORBIDDEN.search(plain):
        return "it has a character that is no part of a name on every system"
    if segment != segment.strip() or plain != plain.strip() or segment.endswith(".") or segment.startswith("~"):
        return "a name begins with '~' or a space, or ends with a dot or a space"
    if DEVICE.match(plain):
        return "it is the name of a device"
    if len(segment.encode()) > MAX_SEGMENT_BYTES:
        return f"a name has more than {MAX_SEGMENT_BYTES} bytes"
    return None


def _of_words(text: str, hosts: Collection[str], param: str) -> HubReference:
    words = text[3:] if text[:3].lower() == "hf:" else text
    host, slash, rest = words.partition("/")
    if slash and rest.count("/") >= 1 and host.lower() in hosts:
        words = rest
    owner, _, rest = words.partition("/")
    name, slash, path = rest.partition("/")
    if slash:
        repo, revision, quant = _split(name)
        if quant is not None:
            raise HubReferenceInvalid("a file and a quantisation are named at once", param=param)
        return _checked(f"{owner}/{repo}", revision, path, None, param)
    repo, revision, quant = _split(name)
    return _checked(f"{owner}/{repo}", revision, None, quant, param)


def _split(name: str) -> tuple[str, str, str | None]:
    """``repo[@revision][:quant]``, or with the two the other way round."""
    repo, at, revision = name.partition("@")
    if at:
        revision, colon, quant = revision.partition(":")
        repo, colon_before, quant_before = repo.partition(":")
        if colon and colon_before:
            raise HubReferenceInvalid("two quantisations are named", param="quant")
        colon, quant = (colon, quant) if colon else (colon_before, quant_before)
    else:
        repo, colon, quant = name.partition(":")
        revision = MAIN
    return repo, re.sub("(?i)%2f", "/", revision), quant if colon else None


def _of_address(text: str, hosts: Collection[str], param: str) -> HubReference:
    scheme, _, rest = text.partition("://")
    if scheme.lower() == "hf":
        return _of_words(rest, hosts, param)
    url = urlsplit(text) if _is_address(text) else None
    netloc = "" if url is None else url.netloc.lower().removesuffix(":443")
    if url is None or netloc not in hosts:
        raise HubReferenceInvalid(
            f"only addresses of the hub itself are accepted, not of {_brief(netloc.rpartition('@')[2])}", param=param
        )
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    if any("/" in part and index != 3 for index, part in enumerate(parts)):
        raise HubReferenceInvalid(ACCEPTED, param=param)
    if len(parts) == 2:
        repo, revision, quant = _split(parts[1])
        return _checked(f"{parts[0]}/{repo}", revision, None, quant, param)
    if len(parts) < 4 or parts[2] not in VIEWS or (parts[2] == "tree" and len(parts) > 4):
        raise HubReferenceInvalid(ACCEPTED, param=param)
    return _checked("/".join(parts[:2]), parts[3], "/".join(parts[4:]) or None, None, param)


def _is_address(text: str) -> bool:
    try:
        return bool(urlsplit(text).netloc)
    except ValueError:
        return False


def _checked(repo: str, revision: str, file: str | None, quant: str | None, param: str) -> HubReference:
    check_repo(repo, param=param)
    check_revision(revision, param=param)
    if file is not None:
        check_filename(file, param=param)
    if quant is not None:
        check_quant(quant, param=param)
    return HubReference(repo, revision, file, None if quant is None or quant.lower() == LATEST else quant)


def _brief(text: str) -> str:
    text = without_password(text)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
