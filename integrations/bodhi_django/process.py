"""The one server of a Django process, made of ``settings.BODHI`` when somebody first asks for it.

Making it touches nothing; it starts with its first use, or with the lifespan that ``bodhi_asgi()`` owns.
"""

from typing import Any, Final

from django.core.signals import setting_changed

from bodhi_asgi import BodhiApp
from bodhi_asgi.loops import this_loop
from bodhi_django.conf import NAME, django_settings
from bodhi_django.identity import identity_of


class Process:
    """Holds the server of this process, and makes another one when its settings change, as they do in tests."""

    def __init__(self) -> None:
        self._kept: dict[str, BodhiApp] = {}
        setting_changed.connect(self._forget, dispatch_uid=f"{__name__}.forget")

    @property
    def app(self) -> BodhiApp:
        """The server. Raises ConfigurationInvalid when ``settings.BODHI`` cannot be used."""
        found = self._kept.get(NAME)
        # Two threads may both make one, which costs nothing; all use the same.
        return found if found is not None else self._kept.setdefault(NAME, made())

    def _forget(self, *, setting: str, **_: Any) -> None:
        if setting not in (NAME, "DATABASES"):
            return
        app = self._kept.pop(NAME, None)
        if app is None or app.status in ("new", "stopped"):
            return
        if this_loop() is None:
            app.sync().shutdown()
        # On an event loop, the server ends with that loop, whose tests it serves.


def made() -> BodhiApp:
    """A server made of ``settings.BODHI``, not started. Raises ConfigurationInvalid."""
    given = django_settings()
    app = BodhiApp(given.config(), identity=identity_of(given))
    app.lifespan_advice = "let asgi.py serve bodhi_asgi(get_asgi_application(), path=None) of bodhi_django"
    return app


PROCESS: Final = Process()


def bodhi_app() -> BodhiApp:
    """The ``BodhiApp`` of this process, made of ``settings.BODHI``. Raises ConfigurationInvalid."""
    return PROCESS.app
