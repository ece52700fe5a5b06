"""A person at a real browser, with the server as the README starts it and the demo model, or with a script for one."""

from collections.abc import Callable

from playwright.async_api import Page, expect

from bodhi_asgi.testing import Script


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


async def test_a_call_into_the_database_waits_for_a_persons_word_in_the_page(
    browser: Page, address: str, scripted: Script
) -> None:
    for _ in range(2):
        scripted.calls("close_ticket", {"number": 2})
        scripted.says("Done.")
    await browser.goto(address)
    ticket = browser.locator("#tickets li", has_text="Cannot log in")
    decisions = (("Refuse", "open", "said no"), ("Allow", "closed", "ticket 2 is closed"))
    for number, (word, status, told) in enumerate(decisions):
        await browser.get_by_label("Question").fill("Close the second")
        await browser.get_by_role("button", name="Ask").click()
        await expect(browser.get_by_text("May I close_ticket(2)?").last).to_be_visible()
        await expect(browser.get_by_role("button", name="Ask")).to_be_enabled()
        await expect(ticket.locator(".status")).to_have_text("open")
        assert len(scripted.asked) == 2 * number + 1, "the model waits for the word"

        await browser.get_by_role("button", name=word).click()
        await expect(browser.get_by_text("Done.").nth(number)).to_be_visible()
        await expect(ticket.locator(".status")).to_have_text(status)
        assert told in scripted.last.results[-1]
        await expect(browser.get_by_role("button", name=word)).to_have_count(0)
