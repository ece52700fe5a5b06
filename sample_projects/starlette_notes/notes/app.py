"""The application: pages, the database for as long as it runs, and bodhi at ``/bodhi`` in the same process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from bodhi_asgi import BodhiApp
from notes import views
from notes.guard import Guard
from notes.search import Finder
from notes.settings import Settings
from notes.store import Store


def create_app(settings: Settings | None = None, bodhi: BodhiApp | None = None) -> Starlette:
    """Notes with these settings, or those of the environment. ``uvicorn --factory notes.app:create_app`` runs it."""
    settings = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG001
        async with Store.open(settings.database) as store:
            finder = Finder(store, settings.embedding_model)
            yield {"settings": settings, "store": store, "finder": finder}

    app = Starlette(
        routes=[
            Route("/", views.index, name="index"),
            Route("/notes", views.create, methods=["POST"], name="create"),
            Route("/notes/{note_id:int}", views.show, name="note"),
            Route("/notes/{note_id:int}", views.change, methods=["POST"], name="change"),
            Route("/notes/{note_id:int}/delete", views.remove, methods=["POST"], name="remove"),
            Route("/notes/{note_id:int}/summary", views.summary, methods=["POST"], name="summary"),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static"),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts)), Middleware(Guard)],
        lifespan=lifespan,
    )
    # Our lifespan stays ours: bodhi starts before it and stops after it, and request.state has what both give.
    return (bodhi or BodhiApp()).install(app, "/bodhi")
