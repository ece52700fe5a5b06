"""A person at a real browser, with the server as the README starts it."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.timeout(300)  # each starts processes of its own, on machines that are slow

ENDLESS = """\
model = "demo"

[request_params]
ignore_eos = true
"""
"""An alias for a model that never stops by itself."""


async def sign_in(page: Page, password: str) -> None:
    await page.get_by_label("Name").fill("librarian")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def running(page: Page, url: str) -> int:
    """Answers that are being written now, as the library's own server tells its librarian."""
    engines = (await (await page.request.get(f"{url}/bodhi/bodhi/v1/engines")).json())["data"]
    return sum(engine["running"] for engine in engines)


async def until(page: Page, url: str, answers: int) -> None:
    while await running(page, url) != answers:
        await asyncio.sleep(0.05)


async def test_a_reader_finds_a_book_asks_about_it_and_stops_the_answer(
    browser: Page, served: Callable[..., Any], variables: dict[str, str], tmp_path: Path
) -> None:
    echo = {"BODHI_ENGINE__RUNNER": "echo", "BODHI_ENGINE__N_CTX": "500000"}
    (tmp_path / "endless.toml").write_text(ENDLESS)
    command = [sys.executable, "-m", "bodhi_asgi", "create", "endless", "-f", str(tmp_path / "endless.toml")]
    subprocess.run(command, env={**variables, **echo}, check=True, capture_output=True)
    library = served(**echo, LIBRARY_CHAT_MODEL="endless", LIBRARY_LONGEST_ANSWER="400000")

    await browser.goto(library.url)
    await browser.get_by_label("Find books").fill("white whale")
    await browser.keyboard.press("Enter")
    await browser.get_by_role("link", name="Moby-Dick").click()
    await expect(browser.get_by_text("Captain Ahab hunts")).to_be_visible()
    await browser.get_by_role("link", name="Sign in").click()
    await sign_in(browser, library.password)
    await expect(browser.get_by_text("Captain Ahab hunts")).to_be_visible()

    await browser.get_by_role("link", name="Librarian").click()
    await browser.get_by_label("Question").fill("any whales?")
    await browser.get_by_role("button", name="Ask").click()
    await expect(browser.locator("#turns .answer")).to_contain_text("any whales?any whales?")
    await expect(browser.locator("#turns").get_by_role("link", name="Moby-Dick")).to_be_visible()
    await until(browser, library.url, 1)
    await browser.get_by_role("button", name="Stop").click()
    await expect(browser.get_by_role("button", name="Ask")).to_be_enabled()
    await until(browser, library.url, 0)
    await browser.reload()
    await expect(browser.get_by_role("heading", name="Ask the librarian")).to_be_visible()
    await expect(browser.locator("#turns li")).to_have_count(0)


async def test_the_demo_model_answers_and_the_page_says_what_it_is(browser: Page, served: Callable[..., Any]) -> None:
    library = served()
    await browser.set_viewport_size({"width": 390, "height": 780})
    await browser.goto(f"{library.url}/talk/")
    await sign_in(browser, library.password)
    await expect(browser.get_by_text("The small demo model answers here")).to_be_visible()
    await browser.get_by_label("Question").fill("What is the capital of France?")
    await browser.get_by_role("button", name="Ask").click()
    await expect(browser.locator("#turns .answer")).to_contain_text("Paris")
    await expect(browser.get_by_role("button", name="Ask")).to_be_enabled()
    await browser.reload()
    await expect(browser.locator("#turns .answer")).to_contain_text("Paris")
    for path in ("/talk/", "/", "/books/1/"):
        await browser.goto(library.url + path)
        width = await browser.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path}: nothing is wider than a telephone"

    await browser.set_viewport_size({"width": 1200, "height": 760})
    await browser.goto(f"{library.url}/admin/catalogue/book/")
    await browser.get_by_role("checkbox", name="Select this object for an action").first.check()
    await browser.locator("select[name=action]").select_option("write_blurbs")
    await browser.get_by_role("button", name="Run").or_(browser.get_by_role("button", name="Go")).click()
    await expect(browser.get_by_text("The blurbs are written.")).to_be_visible()
    await browser.goto(library.url)
    await browser.get_by_role("button", name="Sign out").click()
    await expect(browser.get_by_role("link", name="Sign in")).to_be_visible()
