"""The pytest plugin: fixtures over the functions of this package, none of which does anything unless it is asked for.

A test-suite says which server is its own by a fixture ``bodhi_app`` in its ``conftest.py``.
"""

from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bodhi_asgi.clock import StillClock
    from bodhi_asgi.facade import Bodhi
    from bodhi_asgi.testing.script import Script
    from bodhi_asgi.testing.stand import Hosted


@pytest.fixture
def bodhi_app() -> "Hosted":
    """The server under test: override it with your application's own. This one has the demo model and no host."""
    from bodhi_asgi.asgi.app import BodhiApp

    return BodhiApp()


@pytest.fixture
def bodhi_settings() -> dict[str, Any]:
    """Settings that shall differ from those of ``bodhi_app``, as keywords of ``scripted()``: override it for some."""
    return {}


@pytest.fixture
def bodhi_clock() -> "StillClock":
    """A clock that stands still until ``advance`` is called. A test that asks for it has its server go by it."""
    from bodhi_asgi.clock import StillClock

    return StillClock()


@pytest.fixture
def scripted(request: pytest.FixtureRequest, bodhi_app: "Hosted", bodhi_settings: dict[str, Any]) -> "Iterator[Script]":
    """The script that the models of ``bodhi_app`` follow in this test, checked at its end."""
    from bodhi_asgi.testing.stand import scripted as stand_of

    clock = request.getfixturevalue("bodhi_clock") if "bodhi_clock" in request.fixturenames else None
    failures = request.session.testsfailed
    stand = stand_of(bodhi_app, clock=clock, **bodhi_settings)
    yield stand.__enter__()
    stand.leave(has_failed=request.session.testsfailed > failures)


async def started(scripted: "Script", bodhi_app: "Hosted") -> "AsyncIterator[Bodhi]":  # noqa: ARG001  first of all
    """The verbs of ``bodhi_app``, acting for the host itself, with the server started and following ``scripted``."""
    from bodhi_asgi.testing.stand import server_of

    server = server_of(bodhi_app)
    await server.start()
    yield server
    await server.shutdown()


def pytest_configure(config: pytest.Config) -> None:
    """Make ``bodhi`` a fixture for whichever plugin runs the asynchronous tests of this suite."""
    has_asyncio = config.pluginmanager.hasplugin("asyncio")
    library: Any = import_module("pytest_asyncio") if has_asyncio else pytest
    fixtures: Any = ModuleType("bodhi_asgi.testing.async_fixtures")
    fixtures.bodhi = library.fixture(name="bodhi")(started)
    config.pluginmanager.register(fixtures, fixtures.__name__)
