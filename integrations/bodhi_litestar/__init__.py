"""bodhi_asgi in Litestar: a plugin that mounts it, starts and stops it, and injects its verbs."""

try:
    import litestar  # noqa: F401
except ImportError as error:
    raise ImportError("bodhi_litestar needs Litestar: pip install 'bodhi-asgi[litestar]'") from error

from bodhi_asgi import Bodhi, BodhiApp, BodhiError, Caller, combine_lifespans, get_bodhi
from bodhi_litestar.errors import answer_error
from bodhi_litestar.mount import bodhi_mount
from bodhi_litestar.plugin import BodhiPlugin
from bodhi_litestar.providers import BodhiDep, CallerDep, UserBodhiDep, provide_caller, provide_user_bodhi

__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiDep",
    "BodhiError",
    "BodhiPlugin",
    "Caller",
    "CallerDep",
    "UserBodhiDep",
    "answer_error",
    "bodhi_mount",
    "combine_lifespans",
    "get_bodhi",
    "provide_caller",
    "provide_user_bodhi",
]
