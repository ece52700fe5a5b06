"""The Django app: it registers its checks and nothing else; no server is made or started before somebody uses one."""

from django.apps import AppConfig


class BodhiDjangoConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """``INSTALLED_APPS += ["bodhi_django"]``."""

    name = "bodhi_django"
    label = "bodhi"
    verbose_name = "Language models"

    def ready(self) -> None:
        """Register the system checks."""
        from bodhi_django import checks

        checks.register()
