"""Static laws: what the code never does, wherever it is."""

import ast
import logging
import re
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
SECRET = re.compile(r"(?i)(secret|password|digest|token_hash|signature|hmac|reveal\(\))$")
LATER = re.compile(r"TOD[O]|FIXM[E]|raise NotImplemente[d]|unittest\.moc[k]")
ASK_THE_TIME = {
    "clock.py",
    "db/migrations/runner.py",  # runs before any service has a clock
    "engine/process/serve.py",  # is another process
    "engine/families/shown.py",  # as the next
    "engine/templates.py",  # the date a template asks for is that of the place it runs at
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


def called(node: ast.AST) -> str:
    """What a call calls, as written; nothing for other nodes."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def test_only_the_command_line_prints() -> None:
    assert found(lambda name, node: called(node) == "print" and not name.startswith("cli/")) == []


def test_connections_are_opened_in_one_place() -> None:
    clients = {"AsyncClient", "Client", "ClientSession", "urlopen", "HTTPConnection", "HTTPSConnection", "connected"}
    opening = found(lambda _, node: called(node).rpartition(".")[2] in clients)
    assert {place.partition(":")[0] for place in opening} == {"outbound.py"}


def test_secrets_are_compared_in_constant_time() -> None:
    def compares(_: str, node: ast.AST) -> bool:
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            return False
        sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
        return any(SECRET.search(side) for side in sides) and not any(side.startswith("len(") for side in sides)

    assert found(compares) == []


def test_the_time_of_day_is_asked_of_a_clock() -> None:
    times = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "date.today"}
    assert found(lambda name, node: called(node) in times and name not in ASK_THE_TIME) == []


def test_the_package_imports_from_modules_and_never_from_its_own_root() -> None:
    def imports(name: str, node: ast.AST) -> bool:
        if not isinstance(node, ast.ImportFrom) or node.module != "bodhi_asgi" or name.startswith("integrations/"):
            return False
        modules = {path.stem for path in (ROOT / "bodhi_asgi").iterdir()}
        return any(alias.name != "__version__" and alias.name not in modules for alias in node.names)

    assert found(imports) == []


def test_every_log_line_belongs_to_its_module() -> None:
    def loggers(name: str, node: ast.AST) -> bool:
        if called(node) in {f"logging.{level}" for level in ("debug", "info", "warning", "error", "exception", "log")}:
            return True  # these write to the root logger, which is the host's
        if called(node) != "logging.getLogger" or name == "cli/serve.py":
            return False
        assert isinstance(node, ast.Call)
        (argument,) = node.args
        is_ours = isinstance(argument, ast.Constant) and str(argument.value).startswith("bodhi_asgi.")
        return ast.unparse(argument) != "__name__" and not is_ours

    assert found(loggers) == []


def test_a_log_message_is_constant_and_its_facts_stand_beside_it() -> None:
    def formats(name: str, node: ast.AST) -> bool:
        if name == "http/lifespan.py":  # why a server did not start belongs in the line itself
            return False
        is_log = re.fullmatch(r"(self\._)?log\.(debug|info|warning|error|exception|critical)", called(node))
        return bool(is_log) and isinstance(node, ast.Call) and not isinstance(node.args[0], ast.Constant)

    assert found(formats) == []


def test_no_module_keeps_state_of_its_own() -> None:
    """Several servers live in one process; what a module holds, they would share. Constants are written in capitals."""
    mutable = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    kept = []
    # llama.cpp itself is initialised once per process and reports to one place, whoever asks.
    for path in [path for path in SOURCES if path.name != "llama_library.py"]:
        for node in ast.parse(path.read_text("utf-8")).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
            names = [ast.unparse(target) for target in targets]
            if isinstance(getattr(node, "value", None), mutable) and not all(
                name.isupper() or name == "__all__" for name in names
            ):
                kept.append(f"{path.relative_to(ROOT)}: {', '.join(names)}")
            if any(isinstance(inner, ast.Global) for inner in ast.walk(node)):
                kept.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert kept == []


@pytest.mark.parametrize("folder", ["bodhi_asgi", "integrations", "tests", "examples", "benchmarks"])
def test_nothing_is_left_for_later(folder: str) -> None:
    left = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if LATER.search(line):
                left.append(f"{path.relative_to(ROOT)}:{number}")
    assert left == []


def test_nothing_logged_bears_a_name_that_log_records_have_themselves() -> None:
    taken = {*vars(logging.makeLogRecord({})), "message", "asctime"}

    def overwrites(_: str, node: ast.AST) -> bool:
        given = [each.value for each in node.keywords if each.arg == "extra"] if isinstance(node, ast.Call) else []
        keys = [key for one in given if isinstance(one, ast.Dict) for key in one.keys]
        return any(isinstance(key, ast.Constant) and key.value in taken for key in keys)

    assert found(overwrites) == []
