"""Short private directories for sockets, engines that are gone when the test is, and a bounded wait for facts."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory of mode 0700 with a path short enough for sockets, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="bt-", dir="/tmp"))
    yield path
    shutil.rmtree(path)
