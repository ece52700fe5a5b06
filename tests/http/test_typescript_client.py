"""The published TypeScript client of BodhiApp: a program by its types goes all the way, answered by its types."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from bodhi_asgi import BodhiApp, Grants, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.hub.server import Hub, serving_hub
from tests.servers import serving

HERE: Final = Path(__file__).parent / "typescript"
COMPILER: Final = HERE / "node_modules" / "typescript" / "bin" / "tsc"
OF_OPENAI: Final = ("CreateChatCompletionResponse",)

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not COMPILER.exists(),
    reason="the client is not installed; run: npm ci --prefix tests/http/typescript",
)


async def ran(*command: str | Path) -> str:
    """What a program prints, which must end well."""
    pipe, beside = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec("node", *command, cwd=HERE, stdout=pipe, stderr=beside)
    try:
        async with asyncio.timeout(120):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def compiled(project: Path, folder: Path, name: str) -> None:
    """Hold a program to its types."""
    options = json.loads((HERE / "tsconfig.json").read_text())["compilerOptions"]
    types = {
        name: [str(HERE / "node_modules" / name)] for name in ("@bodhiapp/ts-client", "@bodhiapp/ts-client/openai")
    }
    types["@bodhiapp/ts-client/openai"] = [str(HERE / "node_modules/@bodhiapp/ts-client/dist/openai.d.ts")]
    project.write_text(json.dumps({"compilerOptions": {**options, "paths": types}, "files": [name]}))
    await ran(COMPILER, "--project", project, "--outDir", folder)


def held_to_types(answers: list[dict[str, Any]]) -> str:
    """A program that the compiler accepts when each answer is of its type; what is more than the type says may be."""
    names = {answer["type"] for answer in answers}
    lines = [
        f"import type {{ {', '.join(sorted(names.difference(OF_OPENAI)))} }} from '@bodhiapp/ts-client';",
        f"import type {{ {', '.join(OF_OPENAI)} }} from '@bodhiapp/ts-client/openai';",
        "function held<T>() { return <V extends T>(value: V): V => value; }",
    ]
    lines += [f"held<{answer['type']}>()({json.dumps(answer['value'])});" for answer in answers]
    return "\n".join(lines)


async def test_a_program_by_the_published_types_goes_the_whole_way_and_is_answered_by_them(tmp_path: Path) -> None:
    hub = Hub()
    hub.add("owner/repo", {"model-Q8_0.gguf": DEMO_MODEL_PATH})
    await compiled(tmp_path / "journey.json", tmp_path / "made", str(HERE / "journey.ts"))
    (tmp_path / "made" / "package.json").write_text('{"type": "module"}')
    async with serving_hub(hub) as endpoint:
        app = BodhiApp(
            data_dir=tmp_path / "data",
            hub={"endpoint": endpoint, "cache_dir": tmp_path / "cache"},
            engine={"runner": "echo", "isolation": "thread"},
        )
        async with serving(app) as base:
            scopes = [Scope.MODELS_READ, Scope.MODELS_WRITE, Scope.INFERENCE]
            made = await app.server.create_api_token("client", scopes=scopes, grants=Grants.everything())
            printed = await ran(tmp_path / "made" / "journey.js", base, made.token.reveal())
    answers = [json.loads(line) for line in printed.splitlines()]
    assert len(answers) == 16
    assert answers[-1]["value"]["choices"][0]["message"]["content"] == "hello"
    held = tmp_path / "answers.ts"
    held.write_text(held_to_types(answers))
    await compiled(tmp_path / "answers.json", tmp_path / "made", str(held))
    # And the compiler does look at them.
    answers[0]["value"] = {"message": 1}
    held.write_text(held_to_types(answers))
    with pytest.raises(AssertionError, match="error TS2322"):
        await compiled(tmp_path / "answers.json", tmp_path / "made", str(held))
