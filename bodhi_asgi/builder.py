"""``BodhiServerBuilder``: the same settings as ``BodhiServerConfig``, one call each, for those who like to build.

It stands above the doors, because it is what hands the embedded HTTP listener to a server that knows only its protocol.
"""

from os import PathLike, fspath
from pathlib import Path
from typing import Any, Self

from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.clock import Clock
from bodhi_asgi.http.listener import UvicornListener
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.settings.schema import BodhiServerConfig


class BodhiServerBuilder:
    """Collects settings; :meth:`build` validates them all. Every method returns the builder."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._file: Path | None = None
        self._identity: Identity | None = None
        self._clock: Clock | None = None

    def database_url(self, url: str) -> Self:
        """``sqlite://`` for memory, ``sqlite:///path``, or ``postgresql://…``."""
        return self.setting(database_url=url)

    def data_dir(self, path: str | PathLike[str]) -> Self:
        """Where the database, keys and temporary files live; created at start, with mode 0700."""
        return self.setting(data_dir=Path(fspath(path)))

    def model(self, name: str, reference: str | PathLike[str], **tuning: Any) -> Self:
        """Offer the model in the file ``reference`` under ``name``; ``tuning`` is what differs from ``engine``."""
        entry = {"path": fspath(reference), **tuning} if tuning else fspath(reference)
        models = {**self._settings.get("models", {}), name: entry}
        return self.setting(models=models)

    def demo(self, enabled: bool) -> Self:
        """Whether the embedded demo model is offered."""
        return self.setting(demo=enabled)

    def enable_http(self, enabled: bool) -> Self:
        """Whether :meth:`BodhiServer.start` listens on ``bind_address`` by itself."""
        return self.setting(enable_http=enabled)

    def bind_address(self, address: str) -> Self:
        """``host:port`` to listen on when HTTP is enabled."""
        return self.setting(bind_address=address)

    def identity(self, identity: Identity) -> Self:
        """The callback that says who the host's user is."""
        self._identity = identity
        return self

    def clock(self, clock: Clock) -> Self:
        """The clock every service reads; a StillClock in tests."""
        self._clock = clock
        return self

    def config_file(self, path: str | PathLike[str]) -> Self:
        """Read settings from a TOML or YAML file, below arguments and environment."""
        self._file = Path(fspath(path))
        return self

    def setting(self, **settings: Any) -> Self:
        """Any field of :class:`BodhiServerConfig` by name; nested ones as a mapping."""
        self._settings.update(settings)
        return self

    async def build(self) -> BodhiServer:
        """A server that is configured and not started. Raises ConfigurationInvalid; touches nothing on disk."""
        config = BodhiServerConfig.load(self._file, **self._settings)
        listener = UvicornListener if config.enable_http else None
        return BodhiServer(config, identity=self._identity, clock=self._clock, listener=listener)
