"""The one table of all routes."""

from bodhi_asgi.http.route import Route
from bodhi_asgi.http.routes import (
    aliases,
    chat,
    completions,
    docs,
    downloads,
    engines,
    files,
    health,
    models,
    reading,
    tokens,
)


def routes(*, with_docs: bool) -> tuple[Route, ...]:
    """Every route; the OpenAPI document and its page only where they are wanted."""
    speech = (*chat.ROUTES, *completions.ROUTES, *reading.ROUTES)
    # The id of an alias may stand where other routes have a name, so aliases come after files.
    named = (*models.ROUTES, *files.ROUTES, *downloads.ROUTES, *aliases.ROUTES)
    always = (*speech, *named, *tokens.ROUTES, *engines.ROUTES, *health.ROUTES)
    return (*always, *docs.ROUTES) if with_docs else always
