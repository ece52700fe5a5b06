"""The chat templates that llama.cpp publishes, where somebody has put them.

``BODHI_TEST_TEMPLATES`` names a folder with ``*.jinja`` files. Without it, the cache is looked into that
``.ci/templates.py`` fills.
"""

import os
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodhi_asgi"


def folder() -> Path | None:
    named = os.environ.get("BODHI_TEST_TEMPLATES")
    if named:
        return Path(named)
    return next(iter(sorted(CACHE.glob("templates-*"), reverse=True)), None)


def published() -> list[Path]:
    place = folder()
    return sorted(place.glob("*.jinja")) if place else []


PUBLISHED = published()

each_published_template = pytest.mark.parametrize(
    "path",
    PUBLISHED
    or [pytest.param(None, marks=pytest.mark.skip("no templates: run .ci/templates.py or set BODHI_TEST_TEMPLATES"))],
    ids=lambda path: path.stem if path else "none",
)
