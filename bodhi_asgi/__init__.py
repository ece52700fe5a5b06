"""A mountable ASGI sub-application that gives a Python web application its own language models.

Everything a host may import stands in ``__all__`` and is loaded on first use, so that importing the package costs
next to nothing and pulls in no framework, no database and no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bodhi_asgi.asgi import BodhiApp, BodhiState, BodhiStateMiddleware, combine_lifespans, get_bodhi
    from bodhi_asgi.builder import BodhiServerBuilder
    from bodhi_asgi.caller import Caller, Grants, Scope
    from bodhi_asgi.doctor.examination import diagnose
    from bodhi_asgi.doctor.types import Diagnosis, Finding
    from bodhi_asgi.errors import (
        BodhiError,
        Broken,
        Busy,
        ConfigurationInvalid,
        Conflict,
        Forbidden,
        Invalid,
        MissingDependency,
        NotFound,
        NotStarted,
        Quarantined,
        ShuttingDown,
        TooLarge,
        Unauthenticated,
        Unavailable,
        Unsupported,
    )
    from bodhi_asgi.facade import Bodhi, ChatCompletionStream
    from bodhi_asgi.server import BodhiServer
    from bodhi_asgi.settings.schema import BodhiServerConfig

__version__: Final = "0.1.0"

HOMES: Final = {
    "Bodhi": "facade",
    "BodhiApp": "asgi",
    "BodhiError": "errors",
    "BodhiServer": "server",
    "BodhiServerBuilder": "builder",
    "BodhiServerConfig": "settings.schema",
    "BodhiState": "asgi",
    "BodhiStateMiddleware": "asgi",
    "Broken": "errors",
    "Busy": "errors",
    "Caller": "caller",
    "ChatCompletionStream": "facade",
    "ConfigurationInvalid": "errors",
    "Conflict": "errors",
    "Diagnosis": "doctor.types",
    "Finding": "doctor.types",
    "Forbidden": "errors",
    "Grants": "caller",
    "Invalid": "errors",
    "MissingDependency": "errors",
    "NotFound": "errors",
    "NotStarted": "errors",
    "Quarantined": "errors",
    "Scope": "caller",
    "ShuttingDown": "errors",
    "TooLarge": "errors",
    "Unauthenticated": "errors",
    "Unavailable": "errors",
    "Unsupported": "errors",
    "combine_lifespans": "asgi",
    "diagnose": "doctor.examination",
    "get_bodhi": "asgi",
}
"""Which module each public name lives in."""

__all__ = [
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
    "ConfigurationInvalid",
    "Conflict",
    "Diagnosis",
    "Finding",
    "Forbidden",
    "Grants",
    "Invalid",
    "MissingDependency",
    "NotFound",
    "NotStarted",
    "Quarantined",
    "Scope",
    "ShuttingDown",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "__version__",
    "combine_lifespans",
    "diagnose",
    "get_bodhi",
]


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bodhi_asgi' has no attribute {name!r}")
    value = getattr(import_module(f"bodhi_asgi.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
