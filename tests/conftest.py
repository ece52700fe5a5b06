"""What every test stands on: a quiet OpenMP, fresh directories, and the check that nothing is left behind."""

import itertools
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi

# Two spinning OpenMP threads on two busy cores are hundreds of times slower than one that sleeps; read at first import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Hundreds of processes are started, and each would compile all that it imports where bytecode is not to be kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Engine processes meet in a short private directory: the path of a socket has a limit, and /tmp stays clean.
OURS = Path(tempfile.mkdtemp(prefix="bodhi-test-"))
os.environ["XDG_RUNTIME_DIR"] = str(OURS)

# What lies in the cache of whoever runs the tests is none of their business.
os.environ["HF_HOME"] = str(OURS / "hf")
os.environ.pop("HF_HUB_CACHE", None)

# Every client of HTTP reads all certificates that it trusts, which takes longer than what most tests do with it. One is
# enough: none of them goes out, and those that speak TLS bring their own.
first, end, _ = Path(certifi.where()).read_text("ascii", "replace").partition("-----END CERTIFICATE-----")
(OURS / "certificate.pem").write_text(first[first.index("-----BEGIN CERTIFICATE-----") :] + end, "ascii")
os.environ["SSL_CERT_FILE"] = str(OURS / "certificate.pem")

# No test asks the public hub: who names none gets one that is not there.
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"

import pytest
from hypothesis import HealthCheck, settings

from tests.neighbours.postgres import Cluster, cluster

# Two shared cores: how long a generated example takes says nothing about the code.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

numbers = itertools.count()


def pytest_unconfigure() -> None:
    shutil.rmtree(OURS, ignore_errors=True)


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
