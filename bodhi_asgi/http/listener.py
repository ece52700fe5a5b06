"""The embedded uvicorn: what a server listens with when no host carries it.

Needs the extra ``server``. uvicorn waits for open streams before it stops, so the drain begins before uvicorn is told.
"""

import asyncio
import errno
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from bodhi_asgi.errors import Conflict, MissingDependency
from bodhi_asgi.http.app import HttpApp
from bodhi_asgi.http.guard import HostGuard, is_loopback
from bodhi_asgi.server import BodhiServer

if TYPE_CHECKING:
    import uvicorn

GRACE_S: Final = 3
BACKLOG: Final = 2048


class PortInUse(Conflict):
    """Somebody else listens on that port already."""

    code = "port_in_use"


class AddressRefused(Conflict):
    """The address is none of this machine's, or not allowed."""

    code = "address_refused"


class UvicornListener:
    """Serves one server on its ``bind_address``, in the event loop it is started in, without touching signals."""

    def __init__(self, server: BodhiServer) -> None:
        self._server = server
        self._uvicorn: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """``host:port`` with the real port."""
        assert self._socket is not None, "the listener is not started"
        host, port = self._socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises PortInUse, AddressRefused, MissingDependency."""
        try:
            import uvicorn
        except ImportError:
            raise MissingDependency("listening without a host", "server") from None
        config = self._server.config
        host, port = config.host_and_port
        self._socket = bind(host, port)
        with_docs = is_loopback(host) if config.docs is None else config.docs
        app = HttpApp(self._server, guard=HostGuard.for_bind(host, config.public_url), with_docs=with_docs)
        self._uvicorn = _quiet(uvicorn)(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
                backlog=BACKLOG,
            )
        )
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._socket]), name="bodhi-listener")

    async def stop(self) -> None:
        """Drain, then close. Idempotent."""
        if self._uvicorn is None or self._task is None:
            return
        self._server.begin_drain()
        self._uvicorn.should_exit = True
        await self._task
        if self._socket is not None:
            self._socket.close()
        self._uvicorn = self._task = None


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUse or AddressRefused naming what was asked for."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name, or asyncio does not know that small pieces can be sent at once: each would wait until the one before
    # is confirmed, which takes 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno in _TAKEN:
            raise PortInUse(
                f"port {port} on {host} is taken by another program; choose another with bind_address",
                param="bind_address",
                port=port,
            ) from error
        raise AddressRefused(f"cannot listen on {host}:{port}: {error.strerror}", param="bind_address") from error
    listening.setblocking(False)
    return listening


def _quiet(uvicorn_module: object) -> "type[uvicorn.Server]":
    """uvicorn's server without its signal handlers: signals belong to whoever runs the process."""
    base: type[uvicorn.Server] = uvicorn_module.Server  # type: ignore[attr-defined]

    class Server(base):  # type: ignore[misc, valid-type]
        def capture_signals(self) -> AbstractContextManager[None]:
            return nullcontext()

    return Server


_TAKEN: Final = frozenset({errno.EADDRINUSE})
