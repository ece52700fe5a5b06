"""The one table of all routes."""

from bodhi_asgi.http.route import Route
from bodhi_asgi.http.routes import chat, completions, docs, engines, files, health, models, reading, tokens


def routes(*, with_docs: bool) -> tuple[Route, ...]:
    """Every route; the OpenAPI document and its page only where they are wanted."""
    speech = (*chat.ROUTES, *completions.ROUTES, *reading.ROUTES)
    always = (*speech, *files.ROUTES, *models.ROUTES, *tokens.ROUTES, *engines.ROUTES, *health.ROUTES)
    return (*always, *docs.ROUTES) if with_docs else always
