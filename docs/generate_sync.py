"""Writes the synchronous verbs, bodhi_asgi/sync/{aliases,facade,pulls}.py, from the asynchronous ones.

    python docs/generate_sync.py

Each public ``async def`` becomes a ``def`` of the same name, signature and description, which waits for it. A test
fails when a module differs from what this makes.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "bodhi_asgi"
MODULES = ("aliases", "facade", "pulls")
BASES = {"Aliases": "Twin[Aliases]", "Bodhi": "Calls", "Downloads": "Twin[Downloads]"}
"""What is made a twin of, and what the twin stands on."""

SYNCHRONOUS = {
    "Aliases": "SyncAliases",
    "Bodhi": "SyncBodhi",
    "ChatCompletionStream": "SyncStream[ChatCompletionChunk]",
    "CompletionStream": "SyncStream[Completion]",
    "Downloads": "SyncDownloads",
    "ModelPull": "SyncModelPull",
}
"""What a verb answers here instead of what its twin answers."""

HOMES = {
    "Calls": "bodhi_asgi.sync.calls",
    "ChatCompletionChunk": "bodhi_asgi.formats.openai_chat.schema",
    "SyncAliases": "bodhi_asgi.sync.aliases",
    "SyncDownloads": "bodhi_asgi.sync.pulls",
    "SyncModelPull": "bodhi_asgi.sync.stream",
    "SyncStream": "bodhi_asgi.sync.stream",
    "Twin": "bodhi_asgi.sync.twin",
}
INTERNAL = "AsyncGenerator"
"""A verb that takes or gives one is not for users."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def render() -> dict[Path, str]:
    """The text of every module by its path."""
    return {PACKAGE / "sync" / f"{name}.py": module(name) for name in MODULES}


def module(name: str) -> str:
    source = (PACKAGE / f"{name}.py").read_text("utf-8")
    tree = ast.parse(source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in BASES]
    body = "\n\n\n".join(twin(source, node) for node in classes)
    about = f"The synchronous twins of :mod:`bodhi_asgi.{name}`. Made by docs/generate_sync.py; change that module."
    return tidied("\n".join([f'"""{about}"""\n', *imports(tree, name, words(body)), body]))


def imports(tree: ast.Module, name: str, needed: set[str]) -> Iterator[str]:
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    own |= {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (
                f"from {node.module} import {alias.name}" for alias in node.names if alias.name in needed - HOMES.keys()
            )
    yield from (f"from bodhi_asgi.{name} import {one}" for one in sorted(own & needed))
    yield from (
        f"from {home} import {one}"
        for one, home in HOMES.items()
        if one in needed and home != f"bodhi_asgi.sync.{name}"
    )


def words(text: str) -> set[str]:
    """The names that code uses, in quoted annotations too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError):
                found |= words(node.value)
    return found


def twin(source: str, node: ast.ClassDef) -> str:
    members = [member for member in node.body if isinstance(member, Function) and not member.name.startswith("_")]
    public = [member for member in members if INTERNAL not in signature(member)]
    parts = [description(source, node), *(method(source, member) for member in public)]
    return f"class Sync{node.name}({BASES[node.name]}):\n" + "\n".join(parts)


def method(source: str, node: Function) -> str:
    decorators = [ast.unparse(each) for each in node.decorator_list]
    lines = [f"    @{decorator}" for decorator in decorators] + [f"    {signature(node)}:"]
    if "overload" in decorators:
        return "\n".join([*lines, "        ...", ""])
    returned = "" if answer(node) == "None" else "return "
    return "\n".join([*lines, description(source, node), f"        {returned}{result(node, decorators)}", ""])


def signature(node: Function) -> str:
    answered = answer(node)
    for name, other in SYNCHRONOUS.items():
        answered = re.sub(rf"\b{name}\b", other, answered)
    return f"def {node.name}({ast.unparse(node.args)}) -> {answered}"


def answer(node: Function) -> str:
    return ast.unparse(node.returns) if node.returns else "None"


def result(node: Function, decorators: list[str]) -> str:
    """The call of the asynchronous verb, and what is made of what it answers."""
    given = [argument.arg for argument in node.args.args[1:]]
    given += [f"{argument.arg}={argument.arg}" for argument in node.args.kwonlyargs]
    given += [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    verb = f"self._of.{node.name}"
    if isinstance(node, ast.AsyncFunctionDef):
        wait = "_wait_for_any" if answer(node) == "Any" else "_wait"
        called = f"self.{wait}({', '.join([verb, *given])})"
    else:
        called = verb if "property" in decorators else f"{verb}({', '.join(given)})"
    name = answer(node).strip("'\"")
    return f"{SYNCHRONOUS[name].partition('[')[0]}({called})" if name in SYNCHRONOUS else called


def description(source: str, node: ast.ClassDef | Function) -> str:
    """The docstring as it is written, with the twins of what it refers to."""
    text = ast.get_source_segment(source, node.body[0]) if ast.get_docstring(node) else None
    if text is None:
        raise SystemExit(f"{node.name} has no description; give it a docstring")
    for name, other in SYNCHRONOUS.items():
        text = re.sub(rf":(\w+):`(bodhi_asgi\.\w+\.)?{name}\b", rf":\1:`{other.partition('[')[0]}", text)
    return " " * node.body[0].col_offset + text


def tidied(text: str) -> str:
    """As ruff would have it."""
    for command in ("check --select I --fix", "format"):
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--quiet", "--stdin-filename", "made.py", "-"]
        done = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)  # noqa: S603
        text = done.stdout
    return text


def main() -> None:
    for path, text in render().items():
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
