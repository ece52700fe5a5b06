"""What an ASGI server runs: static files, and Django with bodhi, whose lifespan is owned here."""

import os

from django.core.asgi import get_asgi_application
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from bodhi_django import bodhi_asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "library.settings")
django = get_asgi_application()
static = StaticFiles(packages=[("django.contrib.admin", "static"), ("library.catalogue", "static")])
site = Starlette(routes=[Mount("/static", static), Mount("/", django)])
application = bodhi_asgi(site, path=None)  # it is served by urls.py, behind Django's own middleware
