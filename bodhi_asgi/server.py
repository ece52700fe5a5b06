"""``BodhiServer``: the facade plus the lifecycle. It needs no HTTP and no web framework.

Starts and stops are leases on one owner task that opens the services in floor order and closes them in reverse.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.engine.pool import MakeThreadEngine
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid
from bodhi_asgi.events.types import ServerDraining, ServerStarted
from bodhi_asgi.facade import Bodhi
from bodhi_asgi.forks import FORKS
from bodhi_asgi.lifecycle import Lifecycle
from bodhi_asgi.services import Services, open_services
from bodhi_asgi.settings.schema import BodhiServerConfig

if TYPE_CHECKING:
    from bodhi_asgi.sync.server import SyncBodhiServer


class Listener(Protocol):
    """What listens for HTTP when a server was asked to do so by itself."""

    @property
    def address(self) -> str:
        """``host:port`` it listens on, with the real port."""
        ...

    async def start(self) -> None:
        """Listen. Raises PortInUse when the port is taken."""
        ...

    async def stop(self) -> None:
        """Drain, then close. Idempotent."""
        ...


MakeListener = Callable[["BodhiServer"], Listener]


@dataclass(frozen=True, slots=True)
class Health:
    """How a server is: one word for everybody, and each part's own word or reason for those who may know."""

    status: Literal["ok", "degraded", "unavailable"]
    parts: Mapping[str, str]


class BodhiServer(Bodhi):
    """A complete server of language models, as one object.

    ``async with BodhiServer(config) as server`` or ``await server.start()`` and ``await server.shutdown()``; it can be
    started again. Keyword arguments are fields of :class:`BodhiServerConfig`. Its verbs act for the host itself.
    """

    def __init__(
        self,
        config: BodhiServerConfig | None = None,
        *,
        identity: Identity | None = None,
        clock: Clock | None = None,
        listener: MakeListener | None = None,
        **settings: Any,
    ) -> None:
        if config is not None and settings:
            raise ConfigurationInvalid(
                f"give either a config or single settings ({', '.join(sorted(settings))}), not both", param="config"
            )
        self.config = config or BodhiServerConfig.load(**settings)
        if self.config.enable_http and listener is None:
            raise ConfigurationInvalid(
                "enable_http needs something to listen with: build the server with BodhiServerBuilder",
                param="enable_http",
            )
        self.identity = identity
        self._clock = clock or SystemClock()
        self._thread_engine: MakeThreadEngine | None = None
        self._make_listener = listener
        self._listener: Listener | None = None
        self._lease: AsyncExitStack | None = None
        self._sync: SyncBodhiServer | None = None
        self.lifecycle = Lifecycle(self._open, clock=self._clock)
        FORKS.add(self)

        async def the_host(_: Services) -> Caller:
            return Caller.host()

        super().__init__(self.lifecycle, the_host)

    @property
    def status(self) -> str:
        """``new``, ``starting``, ``ready``, ``draining``, ``stopped`` or ``failed``."""
        return self.lifecycle.status

    @property
    def services(self) -> Services:
        """The open services. Raises NotStarted before :meth:`start` and after :meth:`shutdown`."""
        return self.lifecycle.value

    @property
    def address(self) -> str | None:
        """``host:port`` the server listens on by itself, or None."""
        return self._listener.address if self._listener else None

    async def start(self) -> Self:
        """Open every service, and listen when ``enable_http`` is set. Idempotent. A model is loaded at its first use.

        Raises ConfigurationInvalid in one human sentence when the configuration cannot work.
        """
        if self._lease is not None:
            return self
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.lifecycle.lease())
            if self._make_listener is not None:
                self._listener = self._make_listener(self)
                await self._listener.start()
                stack.push_async_callback(self._listener.stop)
            self._lease = stack.pop_all()
        return self

    async def shutdown(self) -> None:
        """Drain and close everything this server opened. Idempotent."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self.begin_drain()
            await lease.aclose()
            self._listener = None
        await self.lifecycle.aclose()

    def begin_drain(self) -> None:
        """Take nothing new; open streams end with a final ``server_shutting_down`` error."""
        if self.status == "ready":
            self.services.events.publish(ServerDraining())
        self.lifecycle.begin_drain()

    def sync(self) -> "SyncBodhiServer":
        """The same server for code that is not asynchronous: ``with server.sync() as bodhi``. Always the same one."""
        from bodhi_asgi.sync.server import SyncBodhiServer

        if self._sync is None:
            self._sync = SyncBodhiServer(self)
        return self._sync

    def forget(self) -> object:
        """In a forked child: its parent goes on with what is open, and this server has not been started."""
        left = self._lease, self._listener
        self._lease = self._listener = None
        return left

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.shutdown()

    async def health(self) -> Health:
        """How each part is: ``ok`` or the reason why not. Works before start and while draining too."""
        if self.status != "ready":
            return Health("unavailable", {"server": self.status})
        services = self.services
        parts = {"server": "ok", "database": "ok"}
        try:
            await services.database.ping()
        except BodhiError as error:
            parts["database"] = error.message
        parts |= {f"model:{name}": state.summary for name, state in services.engines.states().items()}
        return Health("ok" if parts["database"] == "ok" else "degraded", parts)

    @contextmanager
    def rehearsing(
        self, config: BodhiServerConfig, *, clock: Clock | None, thread_engine: MakeThreadEngine
    ) -> Iterator[None]:
        """Until it ends, start with these in place of what the server was built with: for tests of its host.

        Raises ConfigurationInvalid while the server is started.
        """
        if self.status in ("starting", "ready", "draining"):
            raise ConfigurationInvalid("the server is started already; its stand-in has to come before that")
        own = self.config, self._clock, self._thread_engine
        self.config, self._clock, self._thread_engine = config, clock or self._clock, thread_engine
        try:
            yield
        finally:
            self.config, self._clock, self._thread_engine = own

    async def _open(self, stack: AsyncExitStack) -> Services:
        services = await open_services(stack, self.config, self.identity, self._clock, self._thread_engine)
        services.events.publish(ServerStarted())
        return services
