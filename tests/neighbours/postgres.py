"""A real PostgreSQL of our own: a fresh cluster in a temporary directory, on a port of its own, gone at the end."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

STARTS_WITHIN_S = 30


def binaries() -> Path:
    """Where PostgreSQL's programs are.

    Skips the test where it is not installed, except in CI, where that is a failure.
    """
    for folder in [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin")]:
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    if os.environ.get("CI"):
        pytest.fail("PostgreSQL is not installed, and CI does not go without it")
    pytest.skip("PostgreSQL is not installed here")


def free_port() -> int:
    """A port of no other's use now, and below those that the system gives to whoever asks for any: it stays free."""
    for port in random.sample(range(20_000, 32_000), 500):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Cluster:
    """One PostgreSQL server; it can be stopped and started again with its data."""

    def __init__(self, folder: Path) -> None:
        self._bin = binaries()
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(folder / "data"), "-U", "bodhi", "--auth=trust", "-E", "UTF8", "--no-sync")

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://bodhi@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        command = [str(self._bin / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), "-k", ""]
        options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50"]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen([*command, *options], stdout=log, stderr=log, **_unprivileged())
        log.close()
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._accepts():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start in time"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop at once, without waiting for clients."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STARTS_WITHIN_S)
            self._process = None

    def create(self, database: str) -> str:
        """A new empty database; returns its URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bodhi", database)
        return self.url_of(database)

    def _accepts(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **_unprivileged())


def _unprivileged() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster."""
    binaries()
    with tempfile.TemporaryDirectory(prefix="bodhi-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = Cluster(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
