"""Checks of single values that a type alone cannot express.

Each returns the value or raises ValueError in plain words.
"""

import re
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,127}", re.ASCII)
MEMORY_URLS: Final = frozenset({"sqlite://", "sqlite:///:memory:", "sqlite:memory:", "sqlite:///"})
DATABASE_SCHEMES: Final = ("sqlite", "postgresql", "postgres")
PORTS: Final = range(65536)


def models(value: object) -> object:
    """Models by name; text is read as ``name=path,name2=path2``."""
    if isinstance(value, str):
        pairs = [item.partition("=") for item in value.split(",") if item.strip()]
        if not all(separator for _, separator, _ in pairs):
            raise ValueError("models are written name=path, separated by commas")
        value = {name.strip(): path.strip() for name, _, path in pairs}
    if isinstance(value, dict):
        for name, reference in value.items():
            if not isinstance(name, str) or MODEL_NAME.fullmatch(name) is None:
                raise ValueError(
                    f"a model cannot be called {str(name)[:60]!r}: 1 to 128 letters, digits and . : / @ + - _, "
                    "beginning with a letter or digit"
                )
            if not str(reference).strip() or "\0" in str(reference):
                raise ValueError(f"the model '{name}' has no path")
        return {name: str(reference) for name, reference in value.items()}
    return value


def database_url(value: str) -> str:
    """A URL of a database we can use."""
    scheme = value.partition(":")[0].partition("+")[0]
    if value in MEMORY_URLS or (scheme == "sqlite" and value.startswith("sqlite:///")):
        return value
    if scheme in DATABASE_SCHEMES[1:] and "://" in value:
        return value
    raise ValueError("sqlite:///path, sqlite:// (memory) and postgresql://… are accepted")


def bind_address(value: str) -> tuple[str, int]:
    """``host:port`` in two parts; an IPv6 host stands in brackets."""
    host, separator, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not host or (":" in host and not bracketed) or not port.isascii() or not port.isdigit():
        raise ValueError("host:port is accepted, as in 127.0.0.1:1135 or [::1]:1135")
    if int(port) not in PORTS:
        raise ValueError("a port is a number from 0 to 65535")
    return host[1:-1] if bracketed else host, int(port)


def public_url(value: str) -> str:
    """An http or https address without user, query or fragment; the trailing slash is removed."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address that begins with https:// or http:// is accepted")
    if parts.username or parts.password or parts.query or parts.fragment or ".." in parts.path:
        raise ValueError("no user, query, fragment or '..' is accepted in it")
    return value.rstrip("/")


def origins(value: object) -> object:
    """Exact origins; text is read as a list separated by commas."""
    if isinstance(value, str):
        value = [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, list | tuple):
        for item in value:
            parts = urlsplit(item) if isinstance(item, str) else None
            if parts is None or not _is_exact_origin(item, parts):
                raise ValueError(f"{item!r} is no exact origin such as https://app.example.org")
        return tuple(value)
    return value


def _is_exact_origin(text: str, parts: SplitResult) -> bool:
    bare = parts.scheme in ("http", "https") and bool(parts.hostname) and text == f"{parts.scheme}://{parts.netloc}"
    return bare and "*" not in text and "@" not in text


def shown(value: Any) -> str:
    """A value as text, without the password of a URL."""
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def without_password(url: str) -> str:
    """The URL with its password, and every query value that could hold one, replaced by ``***``."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    netloc = f"{user}:***@{host}" if parts.password else parts.netloc
    query = re.sub(r"(?i)(password|secret|key)=[^&]*", r"\1=***", parts.query)
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))
