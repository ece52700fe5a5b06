"""Each example runs as its own docstring says, in a process of its own, and a person's request gets an answer."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp, Grants
from tests.engine.reading_models import meaning_model, write
from tests.servers import serving

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUESTION = {"q": "What is the capital of France?"}
CHAT = {"model": "demo", "messages": [{"role": "user", "content": QUESTION["q"]}]}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "BODHI_DATA_DIR": str(tmp_path / "data"), "PYTHONWARNINGS": "default"}


@asynccontextmanager
async def running(app: str, environment: dict[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """The example under uvicorn as a process; it must end cleanly within seconds of SIGTERM."""
    command = [sys.executable, "-m", "uvicorn", app, "--port", "0", "--lifespan", "on"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            said = ""
            while (started := re.search(r"running on (http://\S+)", said)) is None:
                line = await process.stderr.readline()
                assert line, said
                said += line.decode()
        async with httpx2.AsyncClient(base_url=started[1], timeout=60) as client:
            yield client
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            _, rest = await process.communicate()
    assert b"Traceback" not in rest, rest.decode()
    assert b"Application shutdown complete" in rest, rest.decode()


def test_every_example_has_its_test() -> None:
    tested = {
        "django_composition",
        "fastapi_app",
        "host_tools",
        "no_http",
        "semantic_search",
        "starlette_app",
        "structured_output",
        "sync_script",
        "tool_use",
    }
    assert {path.stem for path in EXAMPLES} == tested


async def test_starlette_view_streams_the_words(environment: dict[str, str]) -> None:
    async with running("examples.starlette_app:app", environment) as client:
        answer = await client.get("/ask", params=QUESTION)
        assert answer.status_code == 200
        assert answer.text.strip()
        assert (await client.get("/bodhi/ping")).status_code == 200


async def test_notes_are_found_by_what_they_mean(environment: dict[str, str], tmp_path: Path) -> None:
    model = write(meaning_model(), tmp_path / "meaning.gguf")
    async with running("examples.semantic_search:app", {**environment, "BODHI_MODELS": f"minilm={model}"}) as client:
        for question, note in (("kittens and whiskers", "cat purrs"), ("a storm of wet weather", "Thunder and rain")):
            found = (await client.get("/find", params={"q": question})).json()
            assert note in found[0]["note"]


async def test_fastapi_users_use_what_they_were_granted(environment: dict[str, str]) -> None:
    async with running("examples.fastapi_app:app", environment) as client:
        ada, bob = {"X-Session": "ada"}, {"X-Session": "bob"}
        assert (await client.get("/models", headers=ada)).json() == ["demo"]
        assert (await client.get("/models", headers=bob)).json() == []
        reply = await client.post("/bodhi/v1/chat/completions", json=CHAT, headers=ada)
        assert reply.json()["choices"][0]["message"]["content"].strip()
        assert (await client.post("/bodhi/v1/chat/completions", json=CHAT, headers=bob)).status_code in (403, 404)
        assert (await client.post("/bodhi/v1/chat/completions", json=CHAT)).status_code == 401


async def test_django_view_and_mounted_server_stand_side_by_side(environment: dict[str, str]) -> None:
    async with running("examples.django_composition:application", environment) as client:
        answer = await client.get("/ask", params=QUESTION)
        assert answer.status_code == 200, answer.text
        assert answer.text.strip()
        assert (await client.get("/bodhi/ping")).status_code == 200
        assert (await client.get("/bodhi/v1/models")).status_code == 401


async def events(client: httpx2.AsyncClient, path: str, **params: str) -> list[dict[str, Any]]:
    answer = await client.get(path, params=params)
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


async def test_host_tools_are_used_and_the_one_that_matters_waits_for_a_person(environment: dict[str, str]) -> None:
    async with running("examples.host_tools:app", environment) as client:
        told = await events(client, "/ask", q="What is the weather in Paris?")
        assert told[-1]["text"] == "It is sunny in Paris, with 21 degrees."

        for answer, code in (("yes", "tool_returned"), ("no", "tool_failed")):
            paused = (await events(client, "/ask", q="What is 12 plus 30?"))[-1]
            assert paused["outcome"] == "approval_needed"
            assert paused["pending"][0]["arguments"] == {"a": 12, "b": 30}
            done = await events(client, "/decide", state_id=paused["state_id"], approve=answer)
            assert code in [event["kind"] for event in done]
            assert done[-1]["outcome"] == "finished"
        assert (await client.get("/decide", params={"state_id": paused["state_id"]})).status_code == 404


CLIENTS = {
    "structured_output": "Nora is a cat and 7 years old\n",
    "tool_use": "It is rainy in Paris, with 12 degrees.\n",
}


@pytest.mark.parametrize("example", CLIENTS)
async def test_openais_own_client_gets_an_object_and_uses_a_tool(
    example: str, environment: dict[str, str], tmp_path: Path
) -> None:
    app = BodhiApp(data_dir=tmp_path / "data", engine={"isolation": "thread"})
    async with serving(app) as url:
        token = (await app.server.create_api_token("test", grants=Grants.everything())).token.reveal()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, f"examples/{example}.py"),
            cwd=ROOT,
            env={**environment, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": token},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.decode() == CLIENTS[example]


@pytest.mark.parametrize("example", ["no_http", "sync_script"])
async def test_script_answers_every_question(example: str, environment: dict[str, str]) -> None:
    questions = ["What is the capital of France?", "What is the capital of Italy?"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, f"examples/{example}.py", *questions),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    assert process.returncode == 0
    lines = output.decode().splitlines()
    assert [line.startswith(question + " ") for line, question in zip(lines, questions, strict=True)] == [True, True]
