"""A person at a real browser, with the server as the README starts it and the demo model."""

from collections.abc import Callable

from playwright.async_api import Page, expect


async def test_a_ticket_is_added_and_the_assistant_answers(browser: Page, served: Callable[..., str]) -> None:
    await browser.goto(served())
    await expect(browser.get_by_text("Cannot log in")).to_be_visible()
    await browser.get_by_label("Customer").fill("Kim")
    await browser.get_by_label("Title").fill("The lamp is dark")
    await browser.get_by_label("What is wrong?").fill("It does not shine.")
    await browser.get_by_role("button", name="Add ticket").click()
    await expect(browser.get_by_text("The lamp is dark")).to_be_visible()

    await browser.get_by_label("Question").fill("What is the capital of France?")
    await browser.get_by_role("button", name="Ask").click()
    await expect(browser.locator("#talk li").nth(1)).to_be_visible(timeout=60_000)
    await expect(browser.get_by_role("button", name="Ask")).to_be_enabled(timeout=60_000)
