"""Static laws: what the code never does, wherever it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bodhi_asgi

ROOT = Path(bodhi_asgi.__file__).parent.parent
SOURCES = sorted([*(ROOT / "bodhi_asgi").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")])
NEVER_IMPORTED = {"pickle", "marshal", "shelve", "multiprocessing", "diskcache"}
NEVER_CALLED = {"eval", "exec", "compile", "__import__"}
NEVER_CALLED_ON = {
    ("os", "fork"),
    ("os", "system"),
    ("yaml", "load"),
    ("logging", "basicConfig"),
    ("asyncio", "set_event_loop_policy"),
    ("warnings", "filterwarnings"),
    ("warnings", "simplefilter"),
    ("sys", "setrecursionlimit"),
}
MAY = {
    ("cli/serve.py", "logging.basicConfig"),
    ("engine/process/serve.py", "logging.basicConfig"),
}
"""The command line and the engine process are processes of ours, not of a host."""


def trees() -> Iterator[tuple[str, ast.AST]]:
    for path in SOURCES:
        name = str(path.relative_to(ROOT)).removeprefix("bodhi_asgi/")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            yield name, node


def found(wanted: object) -> list[str]:
    return [f"{name}:{getattr(node, 'lineno', 0)}" for name, node in trees() if wanted(name, node)]  # type: ignore[operator]


def test_nothing_deserialises_code_or_forks() -> None:
    def imports(_: str, node: ast.AST) -> bool:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        return any(name.partition(".")[0] in NEVER_IMPORTED for name in names)

    assert found(imports) == []


def test_nothing_evaluates_text_or_changes_the_process_it_is_a_guest_in() -> None:
    def calls(name: str, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Name):
            return node.func.id in NEVER_CALLED
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            called = (node.func.value.id, node.func.attr)
            return called in NEVER_CALLED_ON and (name, ".".join(called)) not in MAY
        return False

    assert found(calls) == []


def test_nothing_writes_to_the_environment() -> None:
    def writes(_: str, node: ast.AST) -> bool:
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
        return any("os.environ" in ast.unparse(target) for target in targets)

    assert found(writes) == []
    assert found(lambda _, node: isinstance(node, ast.Call) and "os.environ.setdefault" in ast.unparse(node.func)) == []


@pytest.mark.parametrize("option", ["shell", "verify"])
def test_no_shell_runs_and_no_certificate_is_left_unchecked(option: str) -> None:
    def given(_: str, node: ast.AST) -> bool:
        keywords = node.keywords if isinstance(node, ast.Call) else []
        bad = option == "shell"
        return any(
            keyword.arg == option and isinstance(keyword.value, ast.Constant) and keyword.value.value is bad
            for keyword in keywords
        )

    assert found(given) == []


def test_templates_are_rendered_in_one_place() -> None:
    def environments(name: str, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and "Environment" in ast.unparse(node.func) and name != "engine/templates.py"

    assert found(environments) == []


def test_security_never_asks_the_url_that_the_host_header_made() -> None:
    assert found(lambda _, node: isinstance(node, ast.Attribute) and ast.unparse(node).endswith("request.url")) == []


def test_queries_are_constructs_and_text_only_where_it_is_constant() -> None:
    def texts(name: str, node: ast.AST) -> bool:
        is_text = isinstance(node, ast.Call) and ast.unparse(node.func) == "text"
        return is_text and not name.startswith("db/migrations/")

    assert found(texts) == []
