"""Short private directories for sockets, engines that are gone when the test is, and a bounded wait for facts."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.types import ModelSpec
from tests.engine.process.support import nothing_is_left


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory of mode 0700 with a path short enough for sockets, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="bt-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def runtime_dir(short_dir: Path) -> Path:
    """Where the engines of one test meet."""
    return short_dir / "r"


MakeEngine = Callable[..., ProcessEngine]


@pytest.fixture
async def make_engine(runtime_dir: Path) -> AsyncIterator[MakeEngine]:
    """A host's end of an engine process. Afterwards no engine may be left, and no child."""
    made: list[ProcessEngine] = []

    def make(
        spec: ModelSpec, *, linger_s: float = 0.0, start_timeout_s: float = 30.0, **options: object
    ) -> ProcessEngine:
        engine = ProcessEngine(
            spec,
            runtime_dir=runtime_dir,
            linger_s=linger_s,
            start_timeout_s=start_timeout_s,
            **options,  # type: ignore[arg-type]
        )
        made.append(engine)
        return engine

    yield make
    for engine in made:
        await engine.aclose(terminate=True)
    await nothing_is_left(runtime_dir)
