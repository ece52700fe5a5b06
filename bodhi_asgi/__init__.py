"""A mountable ASGI sub-application that gives a Python web application its own language models.

Everything a host may import stands in ``__all__`` and is loaded on first use, so that importing the package costs
next to nothing and pulls in no framework, no database and no engine.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bodhi_asgi.agents.agent import Agent
    from bodhi_asgi.agents.context import ToolContext
    from bodhi_asgi.agents.decisions import Approve, Deny
    from bodhi_asgi.agents.errors import ToolRefused
    from bodhi_asgi.agents.events import (
        AgentResult,
        ApprovalAsked,
        ReasoningAdded,
        RunFinished,
        TextAdded,
        ToolCalled,
        ToolFailed,
        ToolReturned,
    )
    from bodhi_asgi.agents.limits import AgentLimits, AgentOutcome
    from bodhi_asgi.agents.run import AgentRun
    from bodhi_asgi.agents.state import AgentState
    from bodhi_asgi.agents.tool import Tool, tool
    from bodhi_asgi.asgi.app import BodhiApp
    from bodhi_asgi.asgi.state import BodhiState, BodhiStateMiddleware, get_bodhi
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
    from bodhi_asgi.facade import Bodhi
    from bodhi_asgi.http.lifespan import combine_lifespans
    from bodhi_asgi.server import BodhiServer
    from bodhi_asgi.settings.schema import BodhiServerConfig
    from bodhi_asgi.streams import ChatCompletionStream, CompletionStream
    from bodhi_asgi.sync.errors import InsideEventLoop
    from bodhi_asgi.sync.facade import SyncBodhi
    from bodhi_asgi.sync.server import SyncBodhiServer
    from bodhi_asgi.sync.stream import SyncStream

__version__: Final = "0.1.0"

HOMES: Final = {
    "Agent": "agents.agent",
    "AgentLimits": "agents.limits",
    "AgentOutcome": "agents.limits",
    "AgentResult": "agents.events",
    "AgentRun": "agents.run",
    "AgentState": "agents.state",
    "ApprovalAsked": "agents.events",
    "Approve": "agents.decisions",
    "Bodhi": "facade",
    "BodhiApp": "asgi.app",
    "BodhiError": "errors",
    "BodhiServer": "server",
    "BodhiServerBuilder": "builder",
    "BodhiServerConfig": "settings.schema",
    "BodhiState": "asgi.state",
    "BodhiStateMiddleware": "asgi.state",
    "Broken": "errors",
    "Busy": "errors",
    "Caller": "caller",
    "ChatCompletionStream": "streams",
    "CompletionStream": "streams",
    "ConfigurationInvalid": "errors",
    "Conflict": "errors",
    "Deny": "agents.decisions",
    "Diagnosis": "doctor.types",
    "Finding": "doctor.types",
    "Forbidden": "errors",
    "Grants": "caller",
    "InsideEventLoop": "sync.errors",
    "Invalid": "errors",
    "MissingDependency": "errors",
    "NotFound": "errors",
    "NotStarted": "errors",
    "Quarantined": "errors",
    "ReasoningAdded": "agents.events",
    "RunFinished": "agents.events",
    "Scope": "caller",
    "ShuttingDown": "errors",
    "SyncBodhi": "sync.facade",
    "SyncBodhiServer": "sync.server",
    "SyncStream": "sync.stream",
    "TextAdded": "agents.events",
    "TooLarge": "errors",
    "Tool": "agents.tool",
    "ToolCalled": "agents.events",
    "ToolContext": "agents.context",
    "ToolFailed": "agents.events",
    "ToolRefused": "agents.errors",
    "ToolReturned": "agents.events",
    "Unauthenticated": "errors",
    "Unavailable": "errors",
    "Unsupported": "errors",
    "combine_lifespans": "http.lifespan",
    "diagnose": "doctor.examination",
    "get_bodhi": "asgi.state",
    "tool": "agents.tool",
}
"""Which module each public name lives in."""

__all__ = [
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


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bodhi_asgi' has no attribute {name!r}")
    value = getattr(import_module(f"bodhi_asgi.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
