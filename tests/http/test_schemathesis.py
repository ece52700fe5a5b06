"""The OpenAPI document taken at its word by a stranger: every answer is as described, and none is a 5xx."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bodhi_asgi import BodhiApp, Caller, Scope
from tests.hub.server import Hub, serving_hub
from tests.servers import serving

EXAMPLES = 60
SEED = 7
CREDENTIAL = "Bearer of-a-host"


@pytest.mark.timeout(1200)
async def test_no_request_made_from_the_document_finds_an_answer_outside_of_it(tmp_path: Path) -> None:
    everything = Caller.user("ann", scopes=tuple(Scope))
    engine = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
    hub = Hub()
    hub.add("acme/small-GGUF", {"small-Q8_0.gguf": bytes(1000)})
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(serving_hub(hub))
        app = BodhiApp(
            data_dir=tmp_path / "data",
            models={"parrot": "x"},
            demo=False,
            docs=True,
            engine=engine,
            hub={"endpoint": endpoint, "cache_dir": tmp_path / "cache"},
            identity=lambda connection: everything if connection.headers.get("authorization") == CREDENTIAL else None,
        )
        base = await stack.enter_async_context(serving(app))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{base}/openapi.json"),
            *("--header", f"Authorization: {CREDENTIAL}", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--checks", "all", "--mode", "all", "--max-examples", str(EXAMPLES), "--seed", str(SEED)),
            # A token that was deleted is revoked, and stays in sight of its owner. That a name must be printable, and
            # that one field asks for another, JSON Schema has no words for.
            *("--exclude-checks", "use_after_free,positive_data_acceptance"),
            *("--generation-allow-x00", "true", "--no-color"),
        ]
        # Nothing of ours runs there, so there is nothing for a tracer.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-6000:]
