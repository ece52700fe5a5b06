"""A host's server with a script in place of its models, for the time of a test.

It has the host's own settings, identity, limits and doors. Only what would reach beyond the test is replaced: the data
directory and the database (empty ones of its own), the hub, the files of this machine, and the engine.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import NotStarted
from bodhi_asgi.loops import this_loop
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.settings.section import Section
from bodhi_asgi.testing.engine import ScriptedEngine
from bodhi_asgi.testing.script import Script

STOP_S: Final = 30.0


class HasServer(Protocol):
    """A ``BodhiApp`` of any host."""

    @property
    def server(self) -> BodhiServer:
        """Its server."""
        ...


Hosted: TypeAlias = HasServer | BodhiServer
"""A server, or the application that has one."""


class Stand:
    """What :func:`scripted` returns: ``with`` or ``async with`` it. It yields the script.

    What is left started at its end is stopped; then the script is checked, unless the test has failed already.
    """

    def __init__(self, of: Hosted, script: Script, clock: Clock | None, settings: Mapping[str, Any]) -> None:
        self.server = server_of(of)
        self.script = script
        self._clock = clock
        self._settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Script:
        with ExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bodhi-test-")))
            config = stand_in_config(self.server.config, place, self._settings)
            engine = partial(ScriptedEngine, script=self.script)
            stack.enter_context(self.server.rehearsing(config, clock=self._clock, thread_engine=engine))
            self._stack = stack.pop_all()
        return self.script

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(has_failed=error is not None)

    def leave(self, *, has_failed: bool = False) -> None:
        """Stop the server if it runs, give it back what was its own, and check the script of a test that was good."""
        with self._stack:
            stop(self.server)
        if not has_failed:
            self.script.check()

    async def __aenter__(self) -> Script:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            await self.server.shutdown()
        if error is None:
            self.script.check()


def scripted(
    of: Hosted,
    script: Script | None = None,
    *,
    models: Iterable[str] = (),
    clock: Clock | None = None,
    **settings: Any,
) -> Stand:
    """Let the models of this server say what ``script`` says, however and by whomever it is started.

    ``with scripted(bodhi_app) as script:`` around whatever starts the host in a test; in asynchronous tests ``async
    with``. ``models`` are names beside those that the settings have, as files and aliases give them in production. With
    a ``clock``, such as :class:`StillClock`, tokens and limits go by that. Keywords are fields of
    :class:`BodhiServerConfig` that shall differ from the host's. Raises ConfigurationInvalid for a server that is
    started already.
    """
    named = {name: name for name in models}
    if named:
        settings["models"] = {**named, **server_of(of).config.models, **settings.get("models", {})}
    return Stand(of, script or Script(), clock, settings)


@asynccontextmanager
async def running(
    of: Hosted,
    script: Script | None = None,
    *,
    models: Iterable[str] = (),
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Script]:
    """As :func:`scripted`, with the server started: for tests of code that calls the verbs without any host."""
    stand = scripted(of, script, models=models, clock=clock, **settings)
    async with stand:
        await stand.server.start()
        yield stand.script


def server_of(of: Hosted) -> BodhiServer:
    """The server itself."""
    return of if isinstance(of, BodhiServer) else of.server


def stand_in_config(config: BodhiServerConfig, place: Path, settings: Mapping[str, Any]) -> BodhiServerConfig:
    """The host's configuration with everything kept in ``place``, no hub, no files, and no engine process."""
    values: dict[str, Any] = {name: getattr(config, name) for name in type(config).model_fields}
    here: dict[str, Any] = {
        "data_dir": place / "data",
        "database_url": None,
        "database": {"schema_name": None},
        "migrations": "auto",
        "engine": {"runner": "echo", "isolation": "thread", "speculation": "none"},
        "shelf": {"folders": ()},
        "hub": {"mode": "offline", "cache_dir": place / "hub", "token": None, "proxy": None},
        "on_start_failure": "raise",
    }
    for changes in (here, settings):
        for name, value in changes.items():
            before = values.get(name)
            if isinstance(before, Section):
                before = before.model_dump(exclude_unset=True)
            if isinstance(before, dict) and isinstance(value, Mapping) and name != "models":
                values[name] = before | dict(value)
            else:
                values[name] = value
    return BodhiServerConfig(**values)


def stop(server: BodhiServer) -> None:
    """Stop a server wherever it runs; one whose event loop is closed has stopped with it.

    Raises NotStarted when that is the event loop of the very thread that would have to wait.
    """
    loop = server.lifecycle.loop
    if loop is None:
        return
    if loop is this_loop():
        raise NotStarted("the server runs in this event loop, which cannot wait for itself: use 'async with'")
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(server.shutdown(), loop).result(STOP_S)
    else:
        loop.run_until_complete(server.shutdown())
