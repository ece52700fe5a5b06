"""The same without asyncio, for a server that loads it before it forks: the server is in use already then."""

from bodhi_django import bodhi_app
from tests.integrations.django_project.wsgi import application

bodhi_app().sync().create_api_token("made before the fork")

__all__ = ["application"]
