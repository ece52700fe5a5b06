"""The one place where our permissions and grants meet the words and shapes of the wire."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.caller import Grants, Scope

USER: Final = "scope_token_user"
POWER_USER: Final = "scope_token_power_user"

SCOPES: Final[Mapping[str, frozenset[Scope]]] = MappingProxyType(
    {
        USER: frozenset({Scope.MODELS_READ, Scope.INFERENCE}),
        POWER_USER: frozenset(
            {
                Scope.MODELS_READ,
                Scope.MODELS_WRITE,
                Scope.INFERENCE,
                Scope.ENGINES_READ,
                Scope.HEALTH_READ,
                Scope.METRICS_READ,
            }
        ),
    }
)


def scope_name(scopes: frozenset[Scope]) -> str:
    """The wire's name for a set of permissions: the smallest that holds them."""
    return USER if scopes <= SCOPES[USER] else POWER_USER


def grants_to_wire(grants: Grants) -> dict[str, Any]:
    """Version 1 of the shape: whether all models are listed, and which may be used."""
    models: dict[str, Any] = (
        {"type": "all"} if grants.all_models else {"type": "specific", "ids": sorted(grants.models)}
    )
    return {"version": "1", "models_list": grants.list_models, "models": models}


def grants_from_wire(data: Mapping[str, Any]) -> Grants:
    """The grants again. Raises ValueError for what is no version 1; nothing is granted by accident."""
    models = data.get("models", {"type": "specific", "ids": []})
    if data.get("version") != "1" or not isinstance(models, Mapping):
        raise ValueError("grants are of version 1")
    if models.get("type") == "all":
        return Grants(all_models=True, list_models=bool(data.get("models_list", False)))
    ids = models.get("ids", [])
    if models.get("type") != "specific" or not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise ValueError("granted models are all, or specific with a list of ids")
    return Grants(models=frozenset(ids), list_models=bool(data.get("models_list", False)))
