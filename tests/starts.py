"""The starts of an application, counted, and the first of them failing where a test wants that."""

from typing import Any

from bodhi_asgi import BodhiApp, Unavailable


def starts_of(app: BodhiApp, *, fail: int = 0) -> list[Any]:
    """Every start from now on; the first ``fail`` of them fail."""
    starts: list[Any] = []
    open_value = app.server.lifecycle._open_value

    async def counted(stack: Any) -> Any:
        starts.append(stack)
        if len(starts) <= fail:
            raise Unavailable("the disk is away")
        return await open_value(stack)

    app.server.lifecycle._open_value = counted
    return starts
