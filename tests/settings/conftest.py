"""Settings are read from this process's environment: each test begins with one that says nothing."""

import os

import pytest


@pytest.fixture(autouse=True)
def silent_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith(("BODHI_", "HF_", "HUGGINGFACE_", "XDG_CACHE"))]:
        monkeypatch.delenv(variable)
