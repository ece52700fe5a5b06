"""One OpenAPI document of a host and of what is mounted in it, and documents without references."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI

from bodhi_asgi import BodhiApp

SHAPES: Final = "#/components/schemas/"
SCHEMES: Final = "securitySchemes"


def merge_openapi(app: FastAPI, bodhi: BodhiApp, prefix: str = "/bodhi", *, tag: str = "bodhi") -> None:
    """Show the routes of ``bodhi``, mounted under ``prefix``, in the OpenAPI document of ``app``.

    Its shapes are named ``Bodhi_…``, its operations ``bodhi_…`` under one ``tag``, so that nothing of the host's own
    document changes. Takes what ``app.openapi`` was before, also a replacement of the host's.
    """
    hosts_own = app.openapi
    merged: dict[int, dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        own = hosts_own()
        # FastAPI makes its document once and again when routes are added; ours follows it.
        if id(own) not in merged:
            merged.clear()
            merged[id(own)] = _merged(own, renamed(bodhi.openapi(), "Bodhi_"), prefix.rstrip("/"), tag)
        return merged[id(own)]

    app.openapi = openapi  # type: ignore[method-assign]


def _merged(own: Mapping[str, Any], ours: Mapping[str, Any], prefix: str, tag: str) -> dict[str, Any]:
    paths = {
        prefix + path: {
            method: {**operation, "operationId": f"bodhi_{operation['operationId']}", "tags": [tag]}
            for method, operation in operations.items()
        }
        for path, operations in ours["paths"].items()
    }
    components: dict[str, Any] = {**own.get("components", {})}
    for kind, entries in ours["components"].items():
        components[kind] = {**components.get(kind, {}), **entries}
    return {**own, "paths": {**own.get("paths", {}), **paths}, "components": components}


def renamed(document: Mapping[str, Any], start: str) -> Any:
    """``document`` with ``start`` before the name of each of its components."""
    schemes = document["components"][SCHEMES]

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            if key == "schemas" or key == SCHEMES:
                return {start + name: walk(entry) for name, entry in value.items()}
            return {name: walk(entry, name) for name, entry in value.items()}
        if isinstance(value, list):
            if key == "security":
                return [
                    {start + name if name in schemes else name: scopes for name, scopes in one.items()} for one in value
                ]
            return [walk(entry) for entry in value]
        if key == "$ref":
            return value.replace(SHAPES, SHAPES + start)
        return value

    return walk(document)


def inlined(value: Any, shapes: Mapping[str, Any]) -> Any:
    """``value`` with every reference to one of ``shapes`` replaced by the shape; none of ours contains itself."""
    if isinstance(value, Mapping):
        if "$ref" in value:
            rest = {key: entry for key, entry in value.items() if key != "$ref"}
            return {**inlined(shapes[value["$ref"].removeprefix(SHAPES)], shapes), **inlined(rest, shapes)}
        return {key: inlined(entry, shapes) for key, entry in value.items()}
    if isinstance(value, list):
        return [inlined(entry, shapes) for entry in value]
    return value
