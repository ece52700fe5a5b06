"""Checks of single values that a type alone cannot express.

Each returns the value or raises ValueError in plain words. None of them touches the disk or the network.
"""

import json
import math
import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel

from bodhi_asgi.types import Secret

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,127}", re.ASCII)
HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-)){0,126}\.?")
SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
MEMORY_URLS: Final = frozenset({"sqlite://", "sqlite:///:memory:", "sqlite:memory:", "sqlite:///"})
POSTGRESQL_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
WEB_PORTS: Final = {"http": 80, "https": 443}
MAX_PORT: Final = 65_535
MAX_FOLDERS: Final = 64
MAX_SECRET: Final = 512

INVISIBLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
PLACEHOLDER: Final = re.compile(
    r"\$\{|\{\{|<[a-z][\w -]*>|/path/to/|\b(change|replace)[-_ ]?me\b|\byour[-_ ][a-z]", re.IGNORECASE
)
"""What templates and instructions leave for somebody to fill in; as a value it is never meant."""

SECRET_IN_URL: Final = re.compile(r"^([^:]*:(?://)?[^:/@]*:).*@", re.DOTALL)
HUB_TOKEN: Final = re.compile(r"\bhf_[A-Za-z0-9]{6,}")
SECRET_IN_QUERY: Final = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token|key))=[^&#]*", re.IGNORECASE)


def data_dir(value: Path) -> Path:
    """An absolute path below some folder; ``~`` is expanded."""
    text = str(value)
    _refuse_placeholder(text)
    if "\0" in text or text in ("", "."):
        raise ValueError("the path of a folder of its own is accepted")
    try:
        path = value.expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no home directory for '~' here; a whole path is accepted") from None
    if path == Path(path.anchor):
        raise ValueError("the root of a file system is not accepted; give the server a folder of its own")
    return path


def models(value: object) -> object:
    """Models by name; text is read as a JSON object or as ``name=path,name2=path2``.

    A model is its path, or a table that has one under ``path``.
    """
    if isinstance(value, str):
        value = _models_from(value)
    if not isinstance(value, dict):
        return value
    return {name: _model(name, entry) for name, entry in value.items()}


def _model(name: object, entry: object) -> object:
    if not isinstance(name, str) or not is_model_name(name):
        raise ValueError(
            f"a model cannot be called {_brief(str(name))}: 1 to 128 letters, digits and . : / @ + - _ are "
            "accepted, with a letter or digit first, without empty or dotted parts between slashes"
        )
    if isinstance(entry, dict):
        return {**entry, "path": _model_path(name, entry.get("path"))}
    return entry if isinstance(entry, BaseModel) else _model_path(name, entry)


def _model_path(name: str, reference: object) -> str:
    if not isinstance(reference, str | PathLike):
        raise ValueError(f"the model '{name}' needs a path as text")  # noqa: TRY004  # for pydantic
    return file_reference(str(fspath(reference)), f"the model '{name}'")


def file_reference(text: str, whose: str) -> str:
    """The path or hub reference of a file; whether there is one is asked when it is needed."""
    if not text.strip() or "\0" in text:
        raise ValueError(f"{whose} has no path")
    _refuse_placeholder(text)
    return text


class _Twice(Exception):
    """A name stands twice in one object."""


def _models_from(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            return _json(text, object_pairs_hook=_once)  # type: ignore[no-any-return]
        except _Twice as twice:
            raise ValueError(f"'{twice}' is given twice") from None
    parts = [item.partition("=") for item in text.split(",") if item.strip()]
    if not all(separator for _, separator, _ in parts):
        raise ValueError("name=path,name2=path2 is accepted, or a JSON object")
    try:
        return _once([(name.strip(), path.strip()) for name, _, path in parts])
    except _Twice as twice:
        raise ValueError(f"the model '{twice}' is given twice") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = first_repeated(name for name, _ in pairs)
    if twice is not None:
        raise _Twice(twice[:60])
    return dict(pairs)


def shares(value: object) -> object:
    """Numbers of which none is negative and one is not zero; text is a list separated by commas."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if not isinstance(value, list | tuple):
        return value
    try:
        numbers = tuple(float(item) for item in value if not isinstance(item, bool))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != len(value) or (numbers and not (min(numbers) >= 0 and 0 < max(numbers) < math.inf)):
        raise ValueError("shares such as 3,1 are accepted, none of them negative and not all of them 0")
    return numbers


def first_repeated(names: Iterable[str]) -> str | None:
    """The first name that stands twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _json(text: str, **options: Any) -> Any:
    try:
        return json.loads(text, **options)
    except (ValueError, RecursionError):
        raise ValueError("this is neither JSON nor a list separated by commas") from None


def is_model_name(name: str) -> bool:
    """Whether a model may be called that, in settings and by aliases."""
    return MODEL_NAME.fullmatch(name) is not None and not {"", ".", ".."} & set(name.split("/"))


def database_url(value: str) -> str:
    """A URL of a database we can use."""
    accepted = "sqlite:///path, sqlite:// (memory) or postgresql://user:password@host/name is accepted"
    if value in MEMORY_URLS:
        return value
    if "\0" in value or "\n" in value or value != value.strip():
        raise ValueError(f"without line breaks and surrounding space, {accepted}")
    _refuse_placeholder(value)
    scheme, separator, rest = value.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        if "?" in rest:
            raise ValueError(f"without options after '?', {accepted}")
        return value
    if scheme in POSTGRESQL_SCHEMES and separator and rest:
        if "#" in rest:
            raise ValueError(f"with special characters written as %23 for '#', {accepted}")
        _split(value, accepted)
        return value
    raise ValueError(accepted)


def schema_name(value: str) -> str:
    """A name PostgreSQL takes without quotes, and not one of its own."""
    if SCHEMA_NAME.fullmatch(value) is None or value.startswith("pg_") or value == "information_schema":
        raise ValueError(
            "1 to 63 small letters, digits and _ are accepted, beginning with a letter or _, "
            "and not the names PostgreSQL keeps for itself"
        )
    return value


def bind_address(value: str) -> tuple[str, int]:
    """``host:port`` in two parts; an IPv6 host stands in brackets."""
    host, separator, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not separator or not (_is_ipv6(host) if bracketed else HOST_NAME.fullmatch(host)):
        raise ValueError("host:port is accepted, as in 127.0.0.1:1135 or [::1]:1135")
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > MAX_PORT:
        raise ValueError("a port is a number from 0 to 65535, as in 127.0.0.1:1135")
    return host, int(port)


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def public_url(value: str) -> str:
    """An http or https address without user, query or fragment; trailing slashes are removed."""
    accepted = "an address such as https://app.example.org/bodhi is accepted"
    _refuse_placeholder(value)
    parts = _split(value, accepted)
    if parts.scheme not in WEB_PORTS or not parts.hostname or INVISIBLE.search(value) or "\\" in value:
        raise ValueError(accepted)
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise ValueError(f"without user, query and fragment, {accepted}")
    if {".", ".."} & set(unquote(parts.path).split("/")) or "//" in parts.path:
        raise ValueError(f"without dotted or empty parts in its path, {accepted}")
    return value.rstrip("/")


def proxy(value: object) -> object:
    """The address of an HTTP proxy, which is a secret, because a password may stand in it."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    accepted = "http://proxy.example.org:3128 is accepted, with user:password@ before the host"
    _refuse_placeholder(text)
    parts = _split(text, accepted)
    if parts.scheme not in WEB_PORTS or not parts.hostname or INVISIBLE.search(text) or "\\" in text:
        raise ValueError(accepted)
    user, at, _ = parts.netloc.rpartition("@")
    if parts.path.strip("/") or "?" in text or "#" in text or (at and not user.partition(":")[0]):
        raise ValueError(f"without path, query and fragment, {accepted}")
    return Secret(text.rstrip("/"))


def secret(value: object) -> object:
    """A credential, which is never shown: visible ASCII, as it stands in a header."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text.isascii() or not text.isprintable() or " " in text or not 1 <= len(text) <= MAX_SECRET:
        raise ValueError(f"1 to {MAX_SECRET} visible characters without spaces are accepted")
    return Secret(text)


def origins(value: object) -> object:
    """Exact origins; text is read as a JSON list or as a list separated by commas."""
    if isinstance(value, str):
        items = _json(value) if value.lstrip().startswith("[") else value.split(",")
        value = [item.strip() if isinstance(item, str) else item for item in items]
        value = [item for item in value if item != ""]
    if isinstance(value, list | tuple):
        for item in value:
            _check_origin(item)
        return tuple(value)
    return value


def folders(value: object) -> object:
    """Whole paths of folders; text is read as a JSON list or as a list separated by commas."""
    if isinstance(value, str):
        items = _json(value) if value.lstrip().startswith("[") else value.split(",")
        value = [item.strip() if isinstance(item, str) else item for item in items]
        value = [item for item in value if item != ""]
    if not isinstance(value, list | tuple):
        return value
    if len(value) > MAX_FOLDERS:
        raise ValueError(f"{len(value)} folders are too many; {MAX_FOLDERS} are accepted")
    return tuple(_folder(item) for item in value)


def _folder(item: object) -> Path:
    if not isinstance(item, str | PathLike):
        raise ValueError("paths of folders are accepted")  # noqa: TRY004  # pydantic listens for ValueError
    return data_dir(Path(item))


def _check_origin(item: object) -> None:
    accepted = "exact origins such as https://app.example.org are accepted"
    if not isinstance(item, str):
        raise ValueError(accepted)  # noqa: TRY004  # pydantic listens for ValueError
    parts = _split(item, accepted)
    if parts.scheme not in WEB_PORTS or not parts.hostname or item != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"{_brief(item)} is no origin; {accepted}")
    if "*" in item or "@" in item or INVISIBLE.search(item) or "\\" in item:
        raise ValueError(f"{_brief(item)} is no exact origin; {accepted}")
    if item != item.lower() or parts.port == WEB_PORTS[parts.scheme]:
        raise ValueError(f"{_brief(item)} is not how browsers write it: small letters, no default port")


def _split(url: str, accepted: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, because it is only checked when it is asked for
    except ValueError:
        raise ValueError(accepted) from None
    return parts


def _refuse_placeholder(text: str) -> None:
    found = PLACEHOLDER.search(text)
    if found is not None:
        raise ValueError(f"'{found[0]}' is a placeholder; put your own value in its place")


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def shown(value: Any) -> str:
    """A value as text, without the password of a URL."""
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def without_password(url: str) -> str:
    """The URL with its password, every query value that could hold one, and tokens of the hub replaced by ``***``.

    A password that was not percent-encoded breaks the rules of URLs, so everything up to the last ``@`` is hidden.
    """
    return HUB_TOKEN.sub("hf_***", SECRET_IN_QUERY.sub(r"\1=***", SECRET_IN_URL.sub(r"\1***@", url)))
