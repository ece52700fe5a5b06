"""The text of a token: ``sk-bodhiapp_`` + 43 random characters + 6 of checksum + ``.`` + installation id.

The random part is base64url of 32 bytes; the checksum is base64url of the big-endian CRC-32 of those 43 characters, so
that a mistyped token is refused without asking the database. BodhiApp's clients know this form.
"""

import base64
import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass
from typing import Final

from bodhi_asgi.types import Secret

START: Final = "sk-bodhiapp_"
RANDOM_BYTES: Final = 32
PREFIX_CHARS: Final = 8
FORM: Final = re.compile(
    rf"{START}(?P<random>[A-Za-z0-9_-]{{43}})(?P<checksum>[A-Za-z0-9_-]{{6}})\.(?P<installation>[A-Za-z0-9_-]{{1,64}})"
)


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """What the database is asked for, and what it has to match."""

    prefix: str
    hash: str
    installation_id: str


def make(installation_id: str) -> Secret:
    """A new token."""
    random = _base64url(secrets.token_bytes(RANDOM_BYTES))
    return Secret(f"{START}{random}{_checksum(random)}.{installation_id}")


def parse(text: str) -> ParsedToken | None:
    """The parts of a token, or None when it is none of ours or was mistyped."""
    found = FORM.fullmatch(text)
    if found is None or _checksum(found["random"]) != found["checksum"]:
        return None
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ParsedToken(f"{START}{found['random'][:PREFIX_CHARS]}", digest, found["installation"])


def _checksum(random: str) -> str:
    return _base64url(zlib.crc32(random.encode()).to_bytes(4))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
