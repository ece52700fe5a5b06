"""Writes docs/reference/*.md from the code, so that the reference is complete by construction.

    python docs/generate_reference.py

A test fails when a page differs from what this makes; a setting, error, event, metric, route or command without a
description fails here.
"""

import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from reference_of_requests import families, parameters

FOLDER = Path(__file__).resolve().parent / "reference"


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; bars and line breaks in cells are made harmless."""
    lines = [list(columns)]
    lines.append(["---"] * len(lines[0]))
    lines += [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(value: object) -> str:
    return f"`{value}`" if value not in (None, "") else ""


def described(thing: object, name: str) -> str:
    """The docstring in one paragraph, its references as plain code."""
    text = inspect.getdoc(thing) or ""
    if not text or text.startswith(f"{name}("):
        raise SystemExit(f"{name} has no description; give it a docstring")
    return plain(text)


def plain(text: str) -> str:
    first = " ".join(text.split("\n\n")[0].split())
    for role in ("class", "meth", "mod", "func", "data", "attr"):
        first = first.replace(f":{role}:`~bodhi_asgi.", f":{role}:`").replace(f":{role}:`", "`")
    return first.replace("``", "`")


def own_modules() -> Iterator[Any]:
    import bodhi_asgi

    for found in pkgutil.walk_packages(bodhi_asgi.__path__, "bodhi_asgi."):
        if not found.name.endswith("__main__"):
            yield import_module(found.name)


def errors() -> str:
    from bodhi_asgi.errors import STATUS, BodhiError

    for _ in own_modules():
        pass
    found: list[type[BodhiError]] = []
    waiting = [BodhiError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("bodhi_asgi"):
            found.append(kind)
        waiting += kind.__subclasses__()
    kinds = table(("Kind", "HTTP status"), ((code(kind.value), status) for kind, status in STATUS.items()))
    rows = sorted(
        (STATUS[error.kind], error.code, error.openai_code or "", error.__name__, described(error, error.__name__))
        for error in set(found) - {BodhiError}
    )
    return (
        "A **kind** says what the caller can do about an error and fixes its status; a **code** says what happened.\n"
        "On OpenAI's routes an error carries OpenAI's code where that API has one. An error in the middle of a stream\n"
        f"is one last event in the same form. See [design](../design.md#errors).\n\n{kinds}\n\n"
        + table(
            ("Status", "Code", "Code on OpenAI routes", "Error", "Meaning"),
            ((status, code(own), code(openai), code(name), text) for status, own, openai, name, text in rows),
        )
    )


def cli() -> str:
    import click

    from bodhi_asgi.cli.app import bodhi
    from bodhi_asgi.exit_codes import MEANING

    parts = [
        "Exit codes:\n\n" + table(("Code", "Meaning"), ((exit_code.value, text) for exit_code, text in MEANING.items()))
    ]

    def visit(command: click.Command, path: str) -> None:
        if not command.help:
            raise SystemExit(f"{path} has no help")
        context = click.Context(command, info_name=path)
        usage = " ".join(command.collect_usage_pieces(context))
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        nameless = [option.name for option in options if not option.help]
        if nameless:
            raise SystemExit(f"{path} has options without help: {nameless}")
        parts.append(f"## {path}\n\n```\n{path} {usage}\n```\n\n{plain(command.help)}")
        shown = ((code(spelled(option, context)), default(option), option.help) for option in options)
        parts.append(table(("Option", "Default", "Meaning"), shown))
        if isinstance(command, click.Group):
            for name in sorted(command.commands):
                visit(command.commands[name], f"{path} {name}")

    def spelled(option: click.Option, context: click.Context) -> str:
        names = ", ".join([*option.opts, *option.secondary_opts])
        return names if option.is_flag else f"{names} {option.make_metavar(context)}"

    def default(option: click.Option) -> str:
        shown = option.to_info_dict()["default"]
        return code(shown) if isinstance(shown, str | int | float) and not isinstance(shown, bool) else ""

    visit(bodhi, "bodhi")
    return "\n\n".join(parts)


def settings() -> str:
    from bodhi_asgi.settings.schema import BodhiServerConfig

    machine_dependent = {
        "data_dir": "the user's data directory on this platform, such as `~/.local/share/bodhi_asgi`",
        "hub.cache_dir": "`~/.cache/huggingface/hub`",
    }
    parts = [
        "Each setting by its name in arguments and files, its environment variable, and its default. Sections are\n"
        "tables in a file and mappings in Python: `BodhiServerConfig(engine={'slots': 4})`. Which source wins, and\n"
        "what stands behind the more important ones, is told in [configuration](../configuration.md)."
    ]
    sections: dict[str, list[tuple[object, ...]]] = {}
    for row, accepted in zip(BodhiServerConfig().rows(), accepted_by(BodhiServerConfig), strict=True):
        if not row.description:
            raise SystemExit(f"the setting {row.name} has no description")
        section, _, _ = row.name.rpartition(".")
        default = machine_dependent.get(row.name) or code(row.default)
        sections.setdefault(section, []).append((code(row.name), code(row.env), default, accepted, row.description))
    for section, rows in sections.items():
        columns = ("Setting", "Environment", "Default", "Accepted", "Meaning")
        parts.append((f"## {section}\n\n" if section else "") + table(columns, rows))
    return "\n\n".join(parts)


def accepted_by(model: type[BaseModel]) -> Iterator[str]:
    """What each setting accepts beyond its type, in the order of the rows: ranges, patterns and choices."""
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from accepted_by(kind)
            continue
        signs = {"ge": "from {}", "gt": "over {}", "le": "to {}", "lt": "under {}"}
        limits = [(words, getattr(item, sign, None)) for item in field.metadata for sign, words in signs.items()]
        ranges = [words.format(limit) for words, limit in limits if limit is not None]
        choices = [code(choice) for choice in get_args(kind) if isinstance(choice, str)]
        yield " ".join(ranges) or " or ".join(choices)


def events() -> str:
    from bodhi_asgi.events import types

    found = [kind for kind in vars(types).values() if isinstance(kind, type) and issubclass(kind, types.Event)]
    rows = (
        (code(event.__name__), code(", ".join(field.name for field in fields(event))), described(event, event.__name__))
        for event in found
        if event is not types.Event
    )
    return (
        "What has happened, as frozen values on the server's bus: `server.services.events`. Events are published\n"
        "after the transaction that made them has been committed.\n\n" + table(("Event", "Fields", "Meaning"), rows)
    )


def metrics() -> str:
    from bodhi_asgi.metrics.meters import Meters

    rows = [
        (code(meter.name), type(meter).__name__.lower(), code(", ".join(meter.labels)), meter.help)
        for meter in Meters().all()
    ]
    return (
        "`/metrics` gives these in Prometheus' text format, to callers who may read metrics. Durations are in\n"
        "seconds. Each server counts for itself.\n\n" + table(("Metric", "Kind", "Labels", "Meaning"), rows)
    )


def routes() -> str:
    from bodhi_asgi.http.table import routes as table_of_routes

    parts = [
        "Paths are relative to the mount. *Access* says who may come in: anybody, anybody with a valid credential, or\n"
        "callers with that permission. What a caller may see or use beyond that is decided by its grants. The OpenAPI\n"
        "document, with every field, is at `/openapi.json` where it is switched on."
    ]
    by_tag: dict[str, list[tuple[str, ...]]] = {}
    for route in table_of_routes(with_docs=True):
        by_tag.setdefault(route.tag, []).append(
            (
                code(f"{route.method} {route.path.replace(':path}', '}')}"),
                code(route.access.value),
                code(route.dialect.value),
                route.summary,
            )
        )
    for tag, rows in by_tag.items():
        parts.append(f"## {tag}\n\n" + table(("Route", "Access", "Dialect", "Meaning"), rows))
    return "\n\n".join(parts)


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "cli": ("Commands", cli),
    "errors": ("Errors", errors),
    "events": ("Events", events),
    "families": ("Families of models", lambda: families(table)),
    "metrics": ("Metrics", metrics),
    "parameters": ("Parameters of requests", lambda: parameters(table)),
    "routes": ("Routes", routes),
    "settings": ("Settings", settings),
}


def render() -> dict[Path, str]:
    """Every page of the reference by its path."""
    note = "<!-- Made by docs/generate_reference.py; change the code and run it again. -->"
    return {
        FOLDER / f"{name}.md": f"# {title}\n\n{note}\n\n{body().strip()}\n" for name, (title, body) in PAGES.items()
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path, text in render().items():
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
