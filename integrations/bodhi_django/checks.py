"""What ``manage.py check`` says of this project, each finding with a hint: nothing here makes or starts a server."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

TAG: Final = "bodhi"
NEEDED: Final = ("django.contrib.auth", "django.contrib.sessions")


def register() -> None:
    """Have Django call them."""
    checks.register(check_settings, TAG)
    checks.register(check_users, TAG)
    checks.register(check_middleware, TAG)
    checks.register(check_places, TAG, deploy=True)
    checks.register(check_servers, TAG, deploy=True)


def check_settings(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """Can ``settings.BODHI`` be used?"""
    problem, _config = _read()
    return [] if problem is None else [problem]


def check_users(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """Is there somebody who is let in, and what his login needs?"""
    identity = getattr(settings, "BODHI", {}).get("IDENTITY") if not _read()[0] else "unknown"
    if identity is None:
        return [
            checks.Info(
                "Only API tokens are let in: BODHI has no IDENTITY.",
                hint="Set BODHI['IDENTITY'] = 'django' to let in Django's own users.",
                id="bodhi.I001",
            )
        ]
    missing = [app for app in NEEDED if identity == "django" and app not in settings.INSTALLED_APPS]
    return [
        checks.Error(
            f"BODHI['IDENTITY'] is 'django', and '{app}' is not installed.",
            hint=f"Add '{app}' to INSTALLED_APPS, or name another IDENTITY.",
            id="bodhi.E002",
        )
        for app in missing
    ]


def check_middleware(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """Does anything in front have a thread wait for each answer to begin?"""
    if not getattr(settings, "ASGI_APPLICATION", None):
        return []
    return [
        checks.Warning(
            f"The middleware '{path}' is sync only: under ASGI a thread waits for every answer behind it to begin.",
            hint="Use middleware that is async too, or compose bodhi_asgi() in asgi.py, which no middleware surrounds.",
            id="bodhi.W001",
        )
        for path in _sync_only(settings.MIDDLEWARE)
    ]


def check_places(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """Is the data directory a place that was chosen, and one that can be written?"""
    problem, config = _read()
    if problem is not None:
        return []
    if config.origin("data_dir") == "default":
        return [
            checks.Warning(
                f"The data lives in {config.data_dir}, the home of whoever runs the server.",
                hint="Set BODHI['DATA_DIR'] to a folder of the deployment, which all its workers share.",
                id="bodhi.W002",
            )
        ]
    nearest = next((place for place in (config.data_dir, *config.data_dir.parents) if place.exists()), Path("/"))
    if os.access(nearest, os.W_OK | os.X_OK):
        return []
    return [
        checks.Error(
            f"The data directory {config.data_dir} cannot be written.",
            hint="Set BODHI['DATA_DIR'] to a folder that the user of the server may write to.",
            id="bodhi.E003",
        )
    ]


def check_servers(app_configs: Any, **_: Any) -> list[Any]:  # noqa: ARG001
    """Will the server be started and stopped with the project?"""
    found: list[Any] = []
    if "daphne" in settings.INSTALLED_APPS:
        found.append(
            checks.Warning(
                "daphne runs no lifespan: bodhi starts with its first request, and what is wrong with it is said then.",
                hint="Nothing is lost by that; uvicorn, hypercorn and granian run the lifespan of bodhi_asgi().",
                id="bodhi.W003",
            )
        )
    if not getattr(settings, "ASGI_APPLICATION", None):
        found.append(
            checks.Info(
                "There is no ASGI_APPLICATION: under WSGI every open stream holds a thread or a worker.",
                hint="Serve asgi.py with bodhi_asgi(get_asgi_application()) where many users stream at once.",
                id="bodhi.I002",
            )
        )
    return found


def _read() -> tuple[Any, Any]:
    """A finding, or the configuration."""
    from bodhi_asgi import BodhiError
    from bodhi_django.conf import django_settings

    try:
        return None, django_settings().config()
    except (BodhiError, ImproperlyConfigured) as error:
        message = error.message if isinstance(error, BodhiError) else str(error)
        hint = "Correct settings.BODHI, or the BODHI_… variable of the environment that is named."
        return checks.Error(f"bodhi cannot be configured: {message}", hint=hint, id="bodhi.E001"), None


def _sync_only(middleware: Iterable[str]) -> Iterable[str]:
    for path in middleware:
        try:
            found = import_string(path)
        except ImportError:
            continue  # Django itself says so
        if not getattr(found, "async_capable", False):
            yield path
