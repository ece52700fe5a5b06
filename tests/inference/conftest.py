"""Fixtures of the inference tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.engine.gguf_files import write_full_precision


@pytest.fixture(scope="session")
def exact_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in full precision, whose logits do not depend on who else is in the batch."""
    return write_full_precision(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "demo-f32.gguf")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="bi-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
