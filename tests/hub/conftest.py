"""A hub on the loopback interface for each test, with a content network of another name."""

from collections.abc import AsyncIterator

import pytest

from tests.hub.server import Hub, serving_hub


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
async def endpoint(hub: Hub) -> AsyncIterator[str]:
    """The address of ``hub`` while it is served."""
    async with serving_hub(hub) as url:
        yield url
