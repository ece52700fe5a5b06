"""The app."""

from django.apps import AppConfig


class CatalogueConfig(AppConfig):
    """``INSTALLED_APPS += ["library.catalogue"]``."""

    name = "library.catalogue"
