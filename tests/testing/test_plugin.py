"""Whole test-suites of hosts, run by pytest as their owners would: the guide's, FastAPI's, Django's, and bad ones."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.docs.pages import BLOCK, ROOT

GUIDE = ROOT / "docs" / "testing.md"
STRICT = ("-p", "no:cacheprovider", "-W", "error", "-o", "asyncio_mode=auto", "-q")

pytestmark = pytest.mark.timeout(600)
"""Each is a process that imports everything anew, which takes its time on a machine that is busy."""

FASTAPI = """
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient

from bodhi_asgi import Bodhi, BodhiApp
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.testing import Script, scripted

bodhi = BodhiApp(models={"big": "owner/repo/big.gguf"})
app = FastAPI(lifespan=bodhi.lifespan)
app.mount("/ai", bodhi)


def verbs(request: Request) -> Bodhi:
    return request.state.bodhi


@app.get("/joke")
async def joke(bodhi: Annotated[Bodhi, Depends(verbs)], about: str) -> dict[str, str]:
    question = {"model": "big", "messages": [{"role": "user", "content": f"A joke about {about}"}]}
    try:
        return {"joke": (await bodhi.chat_completion(question)).choices[0].message.content}
    except EngineBusy:
        return {"joke": "Ask again later."}


@pytest.fixture
def client():
    script = Script()
    with scripted(bodhi, script), TestClient(app) as client:
        client.script = script
        yield client


def test_a_joke_is_told(client: TestClient) -> None:
    client.script.says("Why did it cross the road?", when="hens")
    assert client.get("/joke", params={"about": "hens"}).json() == {"joke": "Why did it cross the road?"}
    assert client.script.only.model == "big"


def test_nobody_is_sent_away_with_an_error(client: TestClient) -> None:
    client.script.fails(EngineBusy("full"))
    assert client.get("/joke", params={"about": "hens"}).json() == {"joke": "Ask again later."}


def test_the_server_of_a_module_serves_one_test_after_the_other(client: TestClient) -> None:
    client.script.says("And again.")
    assert client.get("/joke", params={"about": "tests"}).json() == {"joke": "And again."}
"""

DJANGO_SETTINGS = """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for tests", ALLOWED_HOSTS=["*"], ROOT_URLCONF="test_guide", INSTALLED_APPS=["bodhi_django"]
)
django.setup()
"""

DJANGO = """
from django.core.asgi import get_asgi_application
from django.http import HttpResponse
from django.test import SimpleTestCase, override_settings
from django.urls import path

from bodhi_asgi import BodhiApp
from bodhi_asgi.testing import audit_trail_now, assert_audited, bearer_now, scripted, visiting

bodhi = BodhiApp()
QUESTION = {"model": "demo", "messages": [{"role": "user", "content": "A blurb, please."}]}


async def blurb(request):
    return HttpResponse((await bodhi.server.chat_completion(QUESTION)).choices[0].message.content)


urlpatterns = [path("blurb", blurb)]


@override_settings(ROOT_URLCONF=__name__)
class SideBySide(SimpleTestCase):
    def setUp(self):
        self.script = self.enterContext(scripted(bodhi))

    async def test_the_composition_is_visited_without_a_socket(self):
        self.script.says("Unputdownable.", times=2)
        async with visiting(bodhi.wrap(get_asgi_application(), "/ai")) as client:
            assert (await client.get("/blurb")).text == "Unputdownable."
            assert (await client.post("/ai/v1/chat/completions", json=QUESTION)).status_code == 401
            answer = await bodhi.server.chat_completion(QUESTION)
        assert answer.choices[0].message.content == "Unputdownable."

    def test_synchronous_tests_use_the_synchronous_verbs(self):
        self.script.says("Unputdownable.")
        with bodhi.sync() as verbs:
            assert bearer_now(bodhi)["Authorization"].startswith("Bearer sk-bodhiapp_")
            assert verbs.chat_completion(QUESTION).choices[0].message.content == "Unputdownable."
            assert_audited(audit_trail_now(bodhi), "token.create")
        self.script.assert_asked("blurb", who="host")

    def test_tokens_are_made_also_where_nothing_runs(self):
        header = bearer_now(bodhi, "demo")
        assert_audited(audit_trail_now(bodhi), "token.create")
        assert header
"""

BAD = """
from bodhi_asgi.testing import Gate


async def test_nobody_answers(bodhi, scripted):
    scripted.says("only tea", when="tea")
    try:
        await bodhi.chat_completion({"model": "demo", "messages": [{"role": "user", "content": "coffee"}]})
    except Exception:
        pass


async def test_nobody_asks(scripted):
    scripted.says("Is anybody there?")


async def test_it_was_another_question(bodhi, scripted):
    scripted.says("Yes.")
    await bodhi.chat_completion({"model": "demo", "messages": [{"role": "user", "content": "coffee"}], "top_p": 0.5})
    scripted.assert_asked("tea", top_p=1.0)


def test_a_failed_test_is_not_told_of_its_script_too(scripted):
    scripted.says("never")
    assert 1 == 2
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", "utf-8")
    return tmp_path


def run(suite: Path, *options: str) -> tuple[int, str]:
    """What pytest says of a suite, in a process of its own with the plugins that are installed."""
    command = [sys.executable, "-m", "pytest", *STRICT, *options]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False, timeout=550)
    return done.returncode, done.stdout + done.stderr


def test_the_suites_of_the_guide_and_one_of_fastapi_are_green(suite: Path) -> None:
    blocks = [(match["how"] or "", match["code"]) for match in BLOCK.finditer(GUIDE.read_text("utf-8"))]
    assert {how.partition(" ")[0] for how, _ in blocks} == {"file", "suite", "django"}
    suites = 0
    for how, code in blocks:
        kind, _, name = how.partition(" ")
        suites += kind == "suite"
        if kind != "django":
            (suite / f"{name or f'test_{suites}'}.py").write_text(code, "utf-8")
    (suite / "test_jokes.py").write_text(FASTAPI, "utf-8")
    code, said = run(suite)
    assert (code, f"{suites + 3} passed" in said) == (0, True), said


def test_a_suite_of_django_is_green(suite: Path) -> None:
    (guide,) = [match["code"] for match in BLOCK.finditer(GUIDE.read_text("utf-8")) if match["how"] == "django"]
    (suite / "conftest.py").write_text(DJANGO_SETTINGS, "utf-8")
    (suite / "test_guide.py").write_text(guide, "utf-8")
    (suite / "test_side_by_side.py").write_text(DJANGO, "utf-8")
    code, said = run(suite)
    assert (code, "4 passed" in said) == (0, True), said


def test_what_is_wrong_with_a_script_is_told_in_full(suite: Path) -> None:
    (suite / "test_bad.py").write_text(BAD, "utf-8")
    code, said = run(suite)
    assert code == 1
    assert "2 failed, 2 passed, 2 errors" in said, said
    assert "the script has no answer to #1 host asked 'demo' (waiting): 'coffee'; none of these is for it:" in said
    assert "'only tea' (given 0 of 1 times, when 'tea')" in said
    assert "the script has answers that were not asked for:" in said
    assert "nobody asked for text='tea', top_p=1.0" in said
    assert "top_p is 0.5" in said


def test_without_llama_and_jinja_a_script_works(suite: Path) -> None:
    script = """
        import sys
        for name in ("llama_cpp", "jinja2", "numpy", "llguidance", "pytest", "huggingface_hub", "uvicorn"):
            sys.modules[name] = None
        import asyncio
        from bodhi_asgi import BodhiApp, MissingDependency
        from bodhi_asgi.testing import Script, running

        async def main():
            app = BodhiApp()
            question = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
            async with running(app) as script:
                script.says("Hello yourself.", reasoning="Hm.")
                print((await app.server.chat_completion(question)).choices[0].message.content)
            try:
                async with running(app, Script(template="{{ messages }}")):
                    await app.server.chat_completion(question)
            except MissingDependency as error:
                print(error.extra)

        asyncio.run(main())
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False, timeout=550)
    assert done.stdout.splitlines() == ["Hello yourself.", "llama"], done.stderr


def test_the_plugin_loads_nothing_until_a_fixture_is_asked_for(suite: Path) -> None:
    listing = "import sys; import pytest; before = set(sys.modules); import bodhi_asgi.testing.plugin; "
    listing += "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    command = [sys.executable, "-c", listing]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["bodhi_asgi"]
