"""Takes the pictures of the sample projects anew: python docs/take_screenshots.py [project …]

Each project is started as its README says, in a fresh folder, and looked at in Chromium (``apt-get install chromium``).
"""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "screenshots"
WIDE = {"width": 1200, "height": 760}
NARROW = {"width": 390, "height": 780}

sys.path.insert(0, str(ROOT))
from tests.engine.reading_models import meaning_model, write  # noqa: E402


@asynccontextmanager
async def started(project: str, module: str, folder: Path, **variables: str) -> AsyncIterator[str]:
    """``python -m module`` in the project; yields its address."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module.split(), "--port", "0"),
        cwd=ROOT / "sample_projects" / project,
        env={**os.environ, "BODHI_DATA_DIR": str(folder / "bodhi"), **variables},
        stderr=PIPE,
    )
    assert server.stderr is not None
    try:
        async for line in server.stderr:
            if found := re.search(rb"(http://[\d.:]+)", line):
                yield found[1].decode()
                break
    finally:
        server.terminate()
        await server.communicate()


async def taken(
    browser: Browser, name: str, size: dict[str, int], scheme: str, look: Callable[[Page], Awaitable[None]]
) -> None:
    page = await browser.new_page(viewport=size, color_scheme=scheme)
    await look(page)
    await page.mouse.move(0, 0)
    await page.screenshot(path=TARGET / f"{name}.png")
    await page.close()
    print(TARGET / f"{name}.png", (TARGET / f"{name}.png").stat().st_size)


async def starlette_notes(browser: Browser, folder: Path) -> None:
    model = write(meaning_model(), folder / "meaning.gguf")
    variables = {
        "NOTES_DATABASE": str(folder / "notes.db"),
        "NOTES_EMBEDDING_MODEL": "meaning",
        "BODHI_MODELS": f"meaning={model}",
    }
    async with started("starlette_notes", "notes", folder, **variables) as address:

        async def summarised(page: Page) -> None:
            await page.goto(address)
            await page.get_by_role("link", name="What is bodhi_asgi?").click()
            await page.get_by_role("button", name="Summarise").click()
            await page.get_by_role("button", name="Summarise again").wait_for()
            await page.reload()

        async def found(page: Page) -> None:
            await page.goto(f"{address}/?q=dough+yeast+flour+and+a+loaf")
            await page.get_by_role("link", name="Bread for Saturday").click()

        await taken(browser, "starlette_notes", WIDE, "light", summarised)
        await taken(browser, "starlette_notes_dark", WIDE, "dark", found)
        await taken(browser, "starlette_notes_narrow", NARROW, "light", found)


async def fastapi_helpdesk(browser: Browser, folder: Path) -> None:
    async with started("fastapi_helpdesk", "helpdesk", folder, HELPDESK_DATABASE=str(folder / "desk.db")) as address:

        async def asked(page: Page) -> None:
            await page.goto(address)
            await page.get_by_label("Question").fill("What is the capital of France?")
            await page.get_by_role("button", name="Ask").click()
            await page.locator("#talk .answer").wait_for()
            await page.get_by_role("button", name="Ask").wait_for()

        await taken(browser, "fastapi_helpdesk", WIDE, "light", asked)

    async with scripted_helpdesk(folder) as address:

        async def waiting(page: Page) -> None:
            await page.goto(address)
            await page.get_by_label("Question").fill("Please close the second ticket.")
            await page.get_by_role("button", name="Ask").click()
            await page.get_by_role("button", name="Allow").wait_for()
            await page.locator("#ask").scroll_into_view_if_needed()

        await taken(browser, "fastapi_helpdesk_dark", WIDE, "dark", waiting)
        await taken(browser, "fastapi_helpdesk_narrow", NARROW, "light", waiting)


@asynccontextmanager
async def scripted_helpdesk(folder: Path) -> AsyncIterator[str]:
    """The helpdesk with a script in the place of the model: the demo model seldom calls its tools."""
    sys.path.insert(0, str(ROOT / "sample_projects" / "fastapi_helpdesk"))
    from bodhi_asgi import BodhiApp
    from bodhi_asgi.testing import Script, scripted
    from helpdesk.app import create_app
    from helpdesk.settings import Settings

    bodhi = BodhiApp()
    async with scripted(bodhi, Script(strict=False)) as script:
        script.calls("close_ticket", {"number": 2}, times=None)
        app = create_app(Settings(database=folder / "scripted.db"), bodhi)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        await serving


async def django_library(browser: Browser, folder: Path) -> None:
    ada = {"USERNAME": "ada", "PASSWORD": "only for pictures", "EMAIL": "ada@example.org"}
    variables = {f"DJANGO_SUPERUSER_{name}": value for name, value in ada.items()}
    variables["LIBRARY_DATABASE"] = str(folder / "library.db")
    for command in ("migrate", "createsuperuser"):
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "manage.py", command, "--noinput"),
            cwd=ROOT / "sample_projects" / "django_library",
            env={**os.environ, **variables},
            stdout=PIPE,
        )
        await made.communicate()
    async with started("django_library", "library", folder, **variables) as address:

        async def asked(page: Page) -> None:
            await page.goto(f"{address}/talk/")
            await page.get_by_label("Name").fill(ada["USERNAME"])
            await page.get_by_label("Password").fill(ada["PASSWORD"])
            await page.get_by_role("button", name="Sign in").click()
            for question in ("Who are you?", "Do you have a book about whales?"):
                await page.get_by_label("Question").fill(question)
                await page.get_by_role("button", name="Ask").click()
                await page.locator("[aria-busy]").wait_for(state="detached")

        async def catalogue(page: Page) -> None:
            await page.goto(address)

        await taken(browser, "django_library", WIDE, "light", asked)
        await taken(browser, "django_library_dark", WIDE, "dark", catalogue)
        await taken(browser, "django_library_narrow", NARROW, "light", catalogue)


PROJECTS = {"starlette_notes": starlette_notes, "fastapi_helpdesk": fastapi_helpdesk, "django_library": django_library}


async def main() -> None:
    async with async_playwright() as playwright:
        path = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in sys.argv[1:] or PROJECTS:
            with tempfile.TemporaryDirectory() as folder:
                await PROJECTS[name](browser, Path(folder))
        await browser.close()


asyncio.run(main())
