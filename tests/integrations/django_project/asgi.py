"""Beside Django at ``/beside``, and behind its middleware at ``/bodhi``: the same server twice."""

import os

from django.core.asgi import get_asgi_application

from bodhi_django import bodhi_asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integrations.django_project.settings")
application = bodhi_asgi(get_asgi_application(), path="/beside")
