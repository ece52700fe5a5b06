"""What every test stands on: a quiet OpenMP, fresh directories, and the check that nothing is left behind."""

import itertools
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Two spinning OpenMP threads on two busy cores are hundreds of times slower than one that sleeps; read at first import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Engine processes meet in a short private directory: the path of a socket has a limit, and /tmp stays clean.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="bodhi-test-")
Path(os.environ["XDG_RUNTIME_DIR"]).chmod(0o700)

# What lies in the cache of whoever runs the tests is none of their business.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="bodhi-test-hf-")
os.environ.pop("HF_HUB_CACHE", None)

# No test asks the public hub: who names none gets one that is not there.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"

import pytest
from hypothesis import HealthCheck, settings

from tests.neighbours.postgres import Cluster, cluster

# Two shared cores: how long a generated example takes says nothing about the code.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

numbers = itertools.count()


@pytest.fixture(autouse=True)
def logs_as_they_come() -> Iterator[None]:
    """Whatever a framework sets up for logging in a test goes with it: ours is logged and heard in the next."""
    handlers, level = tuple(logging.root.handlers), logging.root.level
    for name, logger in tuple(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] == "bodhi_asgi":
            logger.setLevel(logging.NOTSET)
            logger.propagate, logger.disabled = True, False
    yield
    logging.root.setLevel(level)
    for handler in set(logging.root.handlers).difference(handlers):
        logging.root.removeHandler(handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite-file", "sqlite-memory", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL of an empty database."""
    if request.param == "sqlite-file":
        return f"sqlite:///{tmp_path / 'test.db'}"
    if request.param == "sqlite-memory":
        return "sqlite://"
    server: Cluster = request.getfixturevalue("postgres")
    return server.create(f"test{next(numbers)}")
