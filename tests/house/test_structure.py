"""The house stands as it was drawn: floors, sizes, exports, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import bodhi_asgi

ROOT = Path(bodhi_asgi.__file__).parent.parent
SOURCES = sorted([*(ROOT / "bodhi_asgi").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")])
MAX_LINES = 500
PUBLIC = [
    "Agent",
    "AgentLimits",
    "AgentOutcome",
    "AgentResult",
    "AgentRun",
    "AgentState",
    "ApprovalAsked",
    "Approve",
    "Bodhi",
    "BodhiApp",
    "BodhiError",
    "BodhiServer",
    "BodhiServerBuilder",
    "BodhiServerConfig",
    "BodhiState",
    "BodhiStateMiddleware",
    "Broken",
    "Busy",
    "Caller",
    "ChatCompletionStream",
    "CompletionStream",
    "ConfigurationInvalid",
    "Conflict",
    "Deny",
    "Diagnosis",
    "Finding",
    "Forbidden",
    "Grants",
    "InsideEventLoop",
    "Invalid",
    "MissingDependency",
    "NotFound",
    "NotStarted",
    "Quarantined",
    "ReasoningAdded",
    "RunFinished",
    "Scope",
    "ShuttingDown",
    "SyncBodhi",
    "SyncBodhiServer",
    "SyncStream",
    "TextAdded",
    "TooLarge",
    "Tool",
    "ToolCalled",
    "ToolContext",
    "ToolFailed",
    "ToolRefused",
    "ToolReturned",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "__version__",
    "combine_lifespans",
    "diagnose",
    "get_bodhi",
    "tool",
]
"""What a host may import. A name that is added here is promised; one that is taken away breaks somebody."""


def test_imports_go_down_the_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "integrations"))
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_not_too_long_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text)), "every module says in its first lines what it is for"


def test_the_exports_are_sorted_and_all_of_them_exist() -> None:
    assert bodhi_asgi.__all__ == sorted(bodhi_asgi.__all__) == PUBLIC
    assert set(bodhi_asgi.HOMES) == set(bodhi_asgi.__all__) - {"__version__"}
    assert [name for name in bodhi_asgi.__all__ if not hasattr(bodhi_asgi, name)] == []
    assert dir(bodhi_asgi) == bodhi_asgi.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bodhi_asgi.nothing


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has after ``code``."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after ``code``."""
    return {name.partition(".")[0] for name in modules_after(code)}


def test_the_import_pulls_in_nothing_but_itself_and_a_little_of_the_standard_library() -> None:
    added = modules_after("import bodhi_asgi") - modules_after("pass")
    assert {name for name in added if name.partition(".")[0] not in sys.stdlib_module_names} == {"bodhi_asgi"}
    assert len(added) < 40


def test_the_words_need_the_standard_library_only() -> None:
    words = "errors, types, clock, caller, messages"
    added = loaded_by(f"from bodhi_asgi import {words}") - loaded_by("pass") - sys.stdlib_module_names
    assert added == {"bodhi_asgi"}


def test_a_server_without_http_needs_no_framework_and_no_engine() -> None:
    needed = loaded_by("from bodhi_asgi import BodhiServer, BodhiServerConfig")
    assert needed.isdisjoint({"starlette", "fastapi", "django", "uvicorn", "llama_cpp", "jinja2", "alembic"})


def test_an_application_needs_no_server_host_or_engine() -> None:
    needed = loaded_by("from bodhi_asgi import BodhiApp; BodhiApp(data_dir='/nonexistent/never')")
    assert needed.isdisjoint({"fastapi", "django", "uvicorn", "llama_cpp", "jinja2", "alembic"})


def test_without_the_extras_it_says_what_is_missing() -> None:
    code = """
import sys
for name in ("llama_cpp", "uvicorn", "prometheus_client", "click"):
    sys.modules[name] = None
import asyncio, tempfile
from bodhi_asgi import BodhiApp, BodhiServer, BodhiServerBuilder, MissingDependency
BodhiApp()
asked = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
async def main():
    with tempfile.TemporaryDirectory() as folder:
        async with BodhiServer(data_dir=folder, engine={"isolation": "thread"}) as server:
            for attempt in (server.chat_completion(asked), listen(folder)):
                try:
                    await attempt
                except MissingDependency as error:
                    print(error.extra, error.message)
async def listen(folder):
    server = await BodhiServerBuilder().data_dir(folder).enable_http(True).bind_address("127.0.0.1:0").build()
    await server.start()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines()[0].startswith("llama "), done.stderr
    assert done.stdout.splitlines()[1].startswith("server ")
    assert "pip install 'bodhi-asgi[llama]'" in done.stdout
