"""A server whose hub is on the loopback interface, with a cache of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiServer
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.hub.server import Hub, serving_hub

DEMO = "acme/demo-GGUF"
FAT = b"GGUF" + b"\x03" + bytes(range(256)) * 4096
"""A megabyte that is called a model."""


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.add(DEMO, {"demo-Q8_0.gguf": DEMO_MODEL_PATH, "README.md": b"# demo"})
    shards = {f"Q4_K_M/fat-Q4_K_M-{number:05}-of-00003.gguf": FAT + bytes([number]) * 1000 for number in (1, 2, 3)}
    hub.add("acme/fat-GGUF", {**shards, "fat-Q8_0.gguf": FAT * 2, "mmproj-fat-f16.gguf": FAT[:5000]})
    return hub


@pytest.fixture
async def endpoint(hub: Hub) -> AsyncIterator[str]:
    async with serving_hub(hub) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, endpoint: str) -> dict[str, Any]:
    return {
        "data_dir": tmp_path / "data",
        "demo": False,
        "engine": {"runner": "echo", "isolation": "thread"},
        "hub": {"endpoint": endpoint, "cache_dir": tmp_path / "cache", "retries": 0},
    }


@pytest.fixture
async def server(settings: dict[str, Any]) -> AsyncIterator[BodhiServer]:
    async with asyncio.timeout(100), BodhiServer(**settings) as server:
        yield server
