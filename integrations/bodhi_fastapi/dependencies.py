"""FastAPI's dependencies: the verbs for the host or for the request's own user, and who that is."""

from typing import Annotated

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from bodhi_asgi import Bodhi, BodhiError, Caller, get_bodhi
from bodhi_starlette import headers_of


def bodhi_of_host(connection: HTTPConnection) -> Bodhi:
    """The verbs for the host itself."""
    return get_bodhi(connection)


def bodhi_of_user(connection: HTTPConnection) -> Bodhi:
    """The verbs for the request's own user."""
    return get_bodhi(connection).for_request(connection)


async def caller_of_request(connection: HTTPConnection) -> Caller:
    """Who asks. Answers 401, 403 or 429 by itself when that is nobody."""
    try:
        return await bodhi_of_user(connection).caller()
    except BodhiError as error:
        raise HTTPException(error.status, error.message, headers_of(error)) from error


BodhiDep = Annotated[Bodhi, Depends(bodhi_of_host)]
"""``bodhi: BodhiDep``: the verbs for the host itself, which may use every model. Starts the server if nobody has."""

UserBodhiDep = Annotated[Bodhi, Depends(bodhi_of_user)]
"""``bodhi: UserBodhiDep``: the same verbs with the permissions and grants of the request's own user."""

CallerDep = Annotated[Caller, Depends(caller_of_request)]
"""``caller: CallerDep``: who asks, by ``identity=`` or API token; nobody else gets as far as the view."""
