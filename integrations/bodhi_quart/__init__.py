"""bodhi_asgi in Quart: an extension that mounts it, starts and stops it, and gives its verbs to views."""

try:
    import quart  # noqa: F401
except ImportError as error:
    raise ImportError("bodhi_quart needs Quart: pip install 'bodhi-asgi[quart]'") from error

from bodhi_asgi import Bodhi, BodhiApp, BodhiError, Caller
from bodhi_quart.errors import answer_error
from bodhi_quart.extension import QuartBodhi, get_bodhi
from bodhi_quart.session import session_of

__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiError",
    "Caller",
    "QuartBodhi",
    "answer_error",
    "get_bodhi",
    "session_of",
]
