"""A person at a real browser, with the server as the README starts it."""

from collections.abc import Callable

from playwright.async_api import Page, expect


async def test_a_person_writes_a_note_and_watches_its_summary_being_written(
    browser: Page, served: Callable[..., str]
) -> None:
    address = served(BODHI_ENGINE__RUNNER="echo", NOTES_EMBEDDING_MODEL="demo")
    await browser.goto(address)
    await browser.get_by_label("Title").fill("Green tea")
    await browser.get_by_label("Text").fill("Let it draw for two minutes.")
    await browser.get_by_role("button", name="Add note").click()

    await browser.get_by_role("button", name="Summarise").click()
    summary = browser.locator("#summary")
    await expect(summary).to_contain_text("Let it draw for two minutes.")
    await expect(browser.get_by_role("button", name="Summarise again")).to_be_enabled()
    await browser.reload()
    await expect(summary).to_contain_text("Let it draw for two minutes.")

    await browser.get_by_label("Find notes").fill("tea")
    await browser.keyboard.press("Enter")
    await expect(browser.get_by_role("link", name="Green tea")).to_contain_text("% alike")
    await expect(browser.get_by_role("navigation")).not_to_contain_text("Bread for Saturday")

    await browser.get_by_role("link", name="Green tea").click()
    await browser.get_by_role("button", name="Delete…").click()
    await browser.get_by_role("button", name="Delete", exact=True).click()
    await expect(browser.get_by_role("link", name="Green tea")).to_have_count(0)


async def test_the_demo_model_answers_and_the_page_says_what_it_is(browser: Page, served: Callable[..., str]) -> None:
    await browser.set_viewport_size({"width": 390, "height": 780})
    await browser.goto(served())
    await expect(browser.get_by_text("Notes are found by their words.")).to_be_visible()
    await browser.get_by_role("link", name="What is bodhi_asgi?").click()
    await expect(browser.get_by_text("The small demo model answers here.")).to_be_visible()
    await browser.get_by_role("button", name="Summarise").click()
    await expect(browser.get_by_role("button", name="Summarise again")).to_be_enabled(timeout=60_000)
    assert (await browser.locator("#summary").inner_text()).strip()
    width = await browser.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "nothing is wider than a telephone"
