"""What is declared is used, and what is used is declared: settings, events, meters, errors, routes, commands."""

import ast
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import click
import pytest

import bodhi_asgi
from bodhi_asgi.cli.app import bodhi
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.events import types as events
from bodhi_asgi.http.table import routes
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.settings.schema import BodhiServerConfig, setting_names

ROOT = Path(bodhi_asgi.__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
WAITING: set[str] = set()
"""Settings of a family that nothing asks yet. This set only ever shrinks."""


@cache
def names_read(*, without: str) -> Counter[str]:
    """How often each name, attribute and ``owner.attribute`` is read in the package, one subpackage left out."""
    found: Counter[str] = Counter()
    for path in (ROOT / "bodhi_asgi").rglob("*.py"):
        if without not in path.relative_to(ROOT / "bodhi_asgi").parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    found[node.id] += 1
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    owner = ast.unparse(node.value).rpartition(".")[2].removeprefix("_")
                    found.update((node.attr, f"{owner}.{node.attr}"))
    return found


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def all_errors() -> list[type[BodhiError]]:
    for module in pkgutil.walk_packages(bodhi_asgi.__path__, "bodhi_asgi."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    found, waiting = [], [BodhiError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("bodhi_asgi."):
            found.append(kind)
    return found


def all_events() -> list[type[events.Event]]:
    return [kind for kind in vars(events).values() if inspect.isclass(kind) and kind.__base__ is events.Event]


def all_commands(command: click.Command = bodhi, path: str = "bodhi") -> Iterator[str]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from all_commands(inner, f"{path} {name}")


def test_every_setting_is_documented_under_its_name_and_its_variable() -> None:
    for row in BodhiServerConfig().rows():
        assert f"| `{row.name}` | `{row.env}` |" in page("settings")


def test_every_setting_is_asked_for_by_somebody() -> None:
    read = names_read(without="settings")
    derived = {"database_url": "resolved_database_url", "bind_address": "host_and_port"}
    owned = {name: f"config.{derived.get(name, name)}" if "." not in name else name for name in setting_names()}
    unread = {name for name, reading in owned.items() if not read[reading]}
    assert unread == WAITING


def test_every_event_is_documented_and_told() -> None:
    read = names_read(without="events")
    assert [event.__name__ for event in all_events() if not read[event.__name__]] == []
    for event in all_events():
        assert f"| `{event.__name__}` |" in page("events")
        assert event.__name__.endswith(("ed", "Died", "Draining", "Loading")), "an event has happened"


def test_every_meter_is_documented_and_counts() -> None:
    read = names_read(without="metrics")
    assert [name for name in vars(Meters()) if not read[name]] == []
    for meter in Meters().all():
        assert f"| `{meter.name}` |" in page("metrics")


def test_every_error_is_documented_and_says_what_happened() -> None:
    for error in set(all_errors()) - {BodhiError}:
        assert f"`{error.__name__}`" in page("errors")
        assert re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", error.code)
        assert error.__doc__
        assert not error.__name__.endswith(("Error", "Exception"))


def test_an_error_code_means_one_thing() -> None:
    """Two classes share a code only when one derives from the other or both name the very same refusal."""
    by_code: dict[str, list[type[BodhiError]]] = {}
    for error in all_errors():
        by_code.setdefault(error.code, []).append(error)
    shared = {code: {error.kind for error in errors} for code, errors in by_code.items() if len(errors) > 1}
    assert {code for code, kinds in shared.items() if len(kinds) > 1} == set()


def test_every_route_is_documented_with_who_may_come_in() -> None:
    for route in routes(with_docs=True):
        assert f"| `{route.method} {route.path.replace(':path}', '}')}` | `{route.access.value}` |" in page("routes")
        assert route.summary


def test_no_two_routes_share_a_name_or_a_path() -> None:
    table = routes(with_docs=True)
    assert len({route.name for route in table}) == len(table)
    assert len({(route.method, route.path) for route in table}) == len(table)


@pytest.mark.parametrize("command", list(all_commands()))
def test_every_command_is_documented(command: str) -> None:
    assert f"## {command}\n" in page("cli")
