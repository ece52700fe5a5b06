"""The pages hold together: links lead somewhere, the reference is what the code says, tables repeat the code."""

import re
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from bodhi_asgi.exit_codes import MEANING
from tests.docs.pages import PAGES, ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "docs")
    spec = spec_from_file_location("generate_reference", ROOT / "docs" / "generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_what_the_code_says(generator: ModuleType) -> None:
    rendered: dict[Path, str] = generator.render()
    stale = [path.name for path, text in rendered.items() if not path.exists() or path.read_text("utf-8") != text]
    assert not stale, "run: make reference"
    assert {path.name for path in rendered} == {path.name for path in (ROOT / "docs" / "reference").iterdir()}


def test_the_synchronous_verbs_are_what_the_asynchronous_ones_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    rendered: dict[Path, str] = import_module("generate_sync").render()
    assert not [path.name for path, text in rendered.items() if path.read_text("utf-8") != text], "run: make reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_exit_codes_in_the_guide_are_those_of_the_code() -> None:
    guide = (ROOT / "docs" / "cli.md").read_text("utf-8")
    told = re.findall(r"^\| (\d+) \| (.+) \|$", guide, re.MULTILINE)
    assert told == [(str(code.value), text) for code, text in MEANING.items()]
