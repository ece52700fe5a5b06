"""bodhi_asgi in Django: side by side in ``asgi.py``, or behind Django's own middleware in ``urls.py``.

``INSTALLED_APPS += ["bodhi_django"]`` brings checks, commands and admin pages; ``settings.BODHI`` has the settings of
the server in capitals. Everything is loaded on first use, so that an installed app costs a ``manage.py`` command
nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bodhi_asgi import Bodhi, BodhiApp, BodhiError, Caller
    from bodhi_django.composition import bodhi_asgi
    from bodhi_django.identity import django_user
    from bodhi_django.process import bodhi_app
    from bodhi_django.verbs import DjangoBodhi, get_bodhi

HOMES: Final = {
    "Bodhi": "bodhi_asgi",
    "BodhiApp": "bodhi_asgi",
    "BodhiError": "bodhi_asgi",
    "Caller": "bodhi_asgi",
    "DjangoBodhi": "bodhi_django.verbs",
    "bodhi_app": "bodhi_django.process",
    "bodhi_asgi": "bodhi_django.composition",
    "django_user": "bodhi_django.identity",
    "get_bodhi": "bodhi_django.verbs",
}
"""Which module each public name lives in."""

__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiError",
    "Caller",
    "DjangoBodhi",
    "bodhi_app",
    "bodhi_asgi",
    "django_user",
    "get_bodhi",
]


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bodhi_django' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
