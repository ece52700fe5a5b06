"""Notes are kept, changed, removed, found and summarised, and nobody else's page may do any of it."""

import json
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Busy, Unavailable
from bodhi_asgi.testing import Gate, Script, visiting
from notes.app import create_app
from notes.settings import Settings
from notes.store import PASSAGE_CHARACTERS, passages

CREATED = re.compile(r"/notes/\d+")


def add(client: TestClient, title: str, body: str = "") -> str:
    answer = client.post("/notes", data={"title": title, "body": body}, follow_redirects=False)
    assert answer.status_code == 303
    assert CREATED.fullmatch(answer.headers["location"])
    return answer.headers["location"]


def events(text: str) -> list[tuple[str, dict[str, str]]]:
    frames = (frame.split("\n") for frame in text.strip().split("\n\n"))
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]


def test_a_note_is_kept_changed_and_removed(client: TestClient) -> None:
    note = add(client, "Tea", "Green, <strong>")
    assert "Green, &lt;strong&gt;" in client.get(note).text
    assert "Black" in client.post(note, data={"title": "Tea", "body": "Black"}).text
    assert client.post(f"{note}/delete").url.path == "/"
    assert client.get(note).status_code == 404


def test_a_note_without_a_title_is_called_by_its_first_words(client: TestClient) -> None:
    assert (
        "<title>one two three four five six · Notes"
        in client.get(add(client, "", "one two three four five six 7")).text
    )


@pytest.mark.parametrize("form", [{}, {"title": "  ", "body": "\n"}, {"title": "a" * 201}, {"body": "a" * 100_001}])
def test_a_note_of_nothing_or_too_much_is_refused(client: TestClient, form: dict[str, str]) -> None:
    assert client.post("/notes", data=form).status_code == 422


def test_a_form_that_is_too_large_is_not_read(client: TestClient) -> None:
    assert client.post("/notes", data={"body": "a" * 1_000_001}).status_code == 413


def test_a_summary_streams_and_is_kept_until_the_note_changes(scripted: Script, client: TestClient) -> None:
    scripted.says("Tea is drunk with milk.")
    note = add(client, "Tea", "with milk")
    with client.stream("POST", f"{note}/summary", headers={"accept": "text/event-stream"}) as answer:
        said = events("".join(answer.iter_text()))
    assert said[-1] == ("done", {})
    assert len(said) > 2
    summary = "".join(data["text"] for name, data in said if name == "message")
    assert summary == "Tea is drunk with milk."
    scripted.assert_asked("with milk", system="one or two sentences", temperature=0, times=1)
    assert f">{summary}</p>" in client.get(note).text
    assert f">{summary}</p>" not in client.post(note, data={"title": "Tea", "body": "with lemon"}).text


def test_a_summary_comes_without_a_script_too(scripted: Script, client: TestClient) -> None:
    scripted.says("Tea is drunk with milk.")
    note = add(client, "Tea", "with milk")
    answer = client.post(f"{note}/summary")
    assert answer.url.path == note
    assert "Summarise again" in answer.text


def test_notes_are_found_by_vectors_nearest_first(client: TestClient) -> None:
    add(client, "Green tea")
    add(client, "Green trees and green fields are green")
    page = client.get("/", params={"q": "green tea"}).text
    assert page.index("<strong>Green tea") < page.index("<strong>Green trees")
    assert "100 % alike" in page
    assert "Bread for Saturday" not in page


def test_notes_are_found_by_words_and_the_page_says_so_when_no_model_makes_vectors(tmp_path: Path) -> None:
    for number, (model, told) in enumerate({"": "By words", "demo": "By words this time", "none": "By words"}.items()):
        bodhi = BodhiApp(data_dir=tmp_path / "bodhi", engine={"isolation": "thread"})
        settings = Settings(database=tmp_path / f"{number}.db", embedding_model=model)
        with TestClient(create_app(settings, bodhi), "http://localhost") as client:
            add(client, "100 % green_tea")
            page = client.get("/", params={"q": "tea 100 %"}).text
            assert told.lower() in page.lower()
            assert "<strong>100 % green_tea" in page
            assert "Nothing like that" in client.get("/", params={"q": "greenxtea"}).text


def test_the_error_of_a_model_reaches_the_reader_and_half_a_summary_is_not_kept(
    scripted: Script, client: TestClient
) -> None:
    scripted.says("Tea is ", Unavailable("the model has fallen over"))
    scripted.fails(Busy("everybody asks at once"))
    note = add(client, "Tea")
    *words, (name, data) = events(client.post(f"{note}/summary", headers={"accept": "text/event-stream"}).text)
    assert words
    assert (name, data) == ("error", {"message": "the model has fallen over"})
    page = client.post(f"{note}/summary")
    assert page.status_code == 429
    assert 'role="alert"' in page.text
    assert "Tea is" not in page.text


async def test_a_reader_who_stops_stops_the_model(scripted: Script, app: Starlette) -> None:
    gate = Gate()
    scripted.says("Tea is ", gate, "drunk with milk.")
    async with visiting(app, base_url="http://localhost") as client:
        note = (await client.post("/notes", data={"title": "Tea"})).headers["location"]
        stream = client.stream("POST", f"{note}/summary", headers={"accept": "text/event-stream"})
        async with stream as answer:
            lines = answer.aiter_lines()
            while '"Tea' not in await anext(lines):
                pass
        await scripted.last.over()
    assert scripted.last.outcome == "cancelled"


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
def test_the_page_of_another_site_may_send_nothing(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/notes", data={"title": "Tea"}, headers=headers).status_code == 403


def test_the_own_page_may_and_another_name_of_this_machine_may_not(client: TestClient) -> None:
    headers = {"origin": "http://localhost"}
    assert client.post("/notes", data={"title": "Tea"}, headers=headers).status_code == 200
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_pages_load_nothing_from_elsewhere_and_run_no_script_of_a_note(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_bodhi_answers_below_the_notes_and_lets_nobody_in_without_a_token(client: TestClient) -> None:
    assert client.get("/bodhi/ping").status_code == 200
    assert client.get("/bodhi/v1/models").status_code == 401


def test_a_long_note_is_cut_between_words_and_nothing_is_lost() -> None:
    body = " ".join(f"word{number}" for number in range(500)) + " " + "x" * 1000
    cut = passages("Long", body)
    assert max(map(len, cut)) <= PASSAGE_CHARACTERS
    assert "".join(cut).replace(" ", "") == ("Long" + body).replace(" ", "")
    assert passages("", "") == []


def test_settings_come_from_the_environment_and_have_values_that_work() -> None:
    assert Settings.from_environment({}) == Settings()
    set_ = Settings.from_environment(
        {"NOTES_DATABASE": "/n.db", "NOTES_EMBEDDING_MODEL": "minilm", "NOTES_HOSTS": "a, b"}
    )
    assert (set_.database, set_.embedding_model, set_.hosts) == (Path("/n.db"), "minilm", ("a", "b"))
