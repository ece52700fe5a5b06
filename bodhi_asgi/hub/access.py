"""How one server reaches its hub: the endpoint, the token and who may have it, and how patient to be."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import SplitResult, quote, urlsplit

from bodhi_asgi.hub.reference import HOSTS
from bodhi_asgi.hub.types import HubFile
from bodhi_asgi.settings.hub import ENDPOINT, HubSettings
from bodhi_asgi.types import Secret

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HubAccess:
    """The settings of the hub as its clients need them. Times are in seconds."""

    endpoint: str = ENDPOINT
    token: Secret | None = None
    proxy: Secret | None = None
    is_offline: bool = False
    answer_timeout_s: float = 15
    stall_timeout_s: float = 30
    low_speed_limit: int = 1024
    retries: int = 5
    first_delay_s: float = 0.5

    @classmethod
    def of(cls, hub: HubSettings) -> Self:
        """What the section says."""
        return cls(
            endpoint=hub.endpoint,
            token=hub.token,
            proxy=hub.proxy,
            is_offline=hub.mode == "offline",
            answer_timeout_s=hub.answer_timeout_s,
            stall_timeout_s=hub.stall_timeout_s,
            low_speed_limit=hub.low_speed_limit,
            retries=hub.retries,
        )

    @property
    def hosts(self) -> frozenset[str]:
        """The names of the hub in addresses that people paste, with ports where they are not the usual ones."""
        return HOSTS | {urlsplit(self.endpoint).netloc.lower()}

    @property
    def host(self) -> str:
        """The endpoint's own host."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Whether the endpoint is reached by https."""
        return self.endpoint.startswith("https://")

    @property
    def usable_token(self) -> Secret | None:
        """The token, unless it would cross a network in the clear."""
        is_near = _is_here(self.host) and self.proxy is None
        return self.token if self.is_encrypted or is_near else None

    def token_for(self, url: str) -> Secret | None:
        """The token, when ``url`` is at the endpoint's own scheme, host and port; nobody else gets to see it."""
        return self.usable_token if _origin(urlsplit(url)) == _origin(urlsplit(self.endpoint)) else None

    def url_of(self, file: HubFile, revision: str | None = None) -> str:
        """Where a file is, at its own revision or at another."""
        at = quote(revision or file.revision, safe="")
        return f"{self.endpoint}/{file.repo}/resolve/{at}/{quote(file.filename)}"


def _origin(url: SplitResult) -> tuple[str, str, int | None]:
    return url.scheme, url.hostname or "", url.port or DEFAULT_PORTS.get(url.scheme)


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
