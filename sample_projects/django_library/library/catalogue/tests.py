"""The catalogue is everybody's, the librarian the readers', and no model is asked for anybody else.

``python manage.py test`` runs them. A script stands in the place of the models: it says what a test has written down,
and gives texts with words in common near vectors.
"""

import json
import os
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import AsyncClient, TestCase, override_settings
from django.urls import reverse

from bodhi_asgi import Busy, Unavailable
from bodhi_asgi.testing import scripted
from bodhi_django import bodhi_app
from library.catalogue.models import Book
from library.settings import secret_key

STREAM = {"accept": "text/event-stream"}
LOGIN = "/login/?next="


def titles(response: HttpResponse) -> list[str]:
    return [book.title for book in response.context["books"]]


async def events(response: Any) -> list[tuple[str, Any]]:
    text = b"".join([piece async for piece in response.streaming_content]).decode()
    frames = (frame.split("\n") for frame in text.strip().split("\n\n"))
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]


class LibraryTestCase(TestCase):
    """Books, readers, and a script for the models of bodhi; a test fails that has something else asked of them."""

    fixtures = ("books",)

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(TemporaryDirectory())
        bodhi = {**settings.BODHI, "DATA_DIR": folder}
        cls.enterClassContext(override_settings(BODHI=bodhi, CHAT_MODEL="demo", EMBEDDING_MODEL=""))
        super().setUpClass()

    @classmethod
    def setUpTestData(cls) -> None:
        cls.reader = User.objects.create_user("ada")
        cls.other = User.objects.create_user("bob")

    def setUp(self) -> None:
        self.script = self.enterContext(scripted(bodhi_app()))


class CatalogueTests(LibraryTestCase):
    def test_everybody_reads_the_catalogue(self) -> None:
        response = self.client.get("/")
        self.assertEqual(len(titles(response)), 12)
        self.assertContains(self.client.get(Book.objects.get(title="Walden").get_absolute_url()), "pond")
        self.assertEqual(self.client.get(reverse("book", args=[999])).status_code, 404)

    def test_everything_else_wants_somebody_who_signed_in(self) -> None:
        for path in ("/talk/", "/admin/"):
            self.assertIn("login", self.client.get(path).headers["location"])
        for path in ("/talk/ask/", "/talk/forget/"):
            self.assertRedirects(self.client.post(path, {"text": "?"}), LOGIN + path)

    def test_books_are_found_by_their_words_best_first(self) -> None:
        self.assertEqual(titles(self.client.get("/", {"q": "Do you have books about a white whale?"}))[0], "Moby-Dick")
        self.assertEqual(titles(self.client.get("/", {"q": "verne"})), ["Twenty Thousand Leagues Under the Sea"])
        self.assertContains(self.client.get("/", {"q": "the 100% <b>"}), "Nothing like that")

    @override_settings(EMBEDDING_MODEL="demo")
    def test_readers_find_books_by_vectors_that_are_made_when_a_book_changes(self) -> None:
        self.client.force_login(self.reader)
        question = {"q": "a girl follows a white rabbit down its hole"}
        self.assertEqual(titles(self.client.get("/", question))[0], "Alice's Adventures in Wonderland")
        self.assertFalse(Book.objects.exclude(vector_model="demo").exists())
        walden = Book.objects.get(title="Walden")
        walden.about = question["q"]
        walden.save()
        self.assertEqual(titles(self.client.get("/", question))[0], "Walden")

    @override_settings(EMBEDDING_MODEL="demo")
    def test_a_stranger_has_no_model_asked(self) -> None:
        self.assertEqual(titles(self.client.get("/", {"q": "whale"})), ["Moby-Dick"])
        self.script.assert_nothing_asked()
        self.assertEqual(bodhi_app().status, "new")

    @override_settings(EMBEDDING_MODEL="nothing")
    def test_without_the_model_books_are_found_by_words_and_the_page_says_so(self) -> None:
        self.client.force_login(self.reader)
        response = self.client.get("/", {"q": "whale"})
        self.assertEqual(titles(response), ["Moby-Dick"])
        self.assertContains(response, "By words this time")

    @patch.dict(os.environ, LIBRARY_SECRET_KEY="given")
    def test_the_key_of_the_environment_is_the_one(self) -> None:
        self.assertEqual(secret_key(), "given")

    def test_pages_load_nothing_from_elsewhere(self) -> None:
        policy = self.client.get("/").headers["content-security-policy"]
        self.assertTrue(policy.startswith("default-src 'none'"))
        self.assertNotIn("unsafe", policy)


class LibrarianTests(LibraryTestCase):
    async def test_an_answer_streams_with_the_books_it_is_from_and_is_kept(self) -> None:
        self.script.says("Shelf F has <b>Moby-Dick</b>.")
        await self.async_client.aforce_login(self.reader)
        response = await self.async_client.post("/talk/ask/", {"text": "whales <b>"}, headers=STREAM)
        (books, *words, done) = await events(response)
        self.assertEqual(books[1][0]["title"], "Moby-Dick")
        self.assertEqual("".join(word for _, word in words), "Shelf F has <b>Moby-Dick</b>.")
        who = f"django:{self.reader.pk}"
        self.script.assert_asked("whales <b>", system="Moby-Dick by Herman Melville", who=who, temperature=0)
        self.assertGreater(len(words), 1)
        self.assertEqual(done, ("done", None))
        page = await self.async_client.get("/talk/")
        self.assertContains(page, '<p class="answer">Shelf F has &lt;b&gt;Moby-Dick&lt;/b&gt;.</p>')
        self.assertContains(page, "Moby-Dick")

    async def test_an_answer_comes_without_a_script_too(self) -> None:
        self.script.says("Moby-Dick.")
        await self.async_client.aforce_login(self.reader)
        response = await self.async_client.post("/talk/ask/", {"text": "whales"}, headers={"accept": "text/html,*/*"})
        self.assertRedirects(response, "/talk/", fetch_redirect_response=False)
        self.assertEqual((await self.reader.questions.aget()).answer, "Moby-Dick.")

    async def test_the_model_is_told_of_the_readers_last_questions(self) -> None:
        for number in range(3):
            await self.reader.questions.acreate(text=f"question {number}", answer=f"answer {number}")
        await self.other.questions.acreate(text="somebody else's", answer="not told")
        self.script.says("Moby-Dick.")
        await self.async_client.aforce_login(self.reader)
        await self.async_client.post("/talk/ask/", {"text": "whales"})
        told = [message["content"] for message in self.script.only.messages[1:]]
        self.assertEqual(told, ["question 1", "answer 1", "question 2", "answer 2", "whales"])

    async def test_the_error_of_a_model_reaches_the_reader_and_half_an_answer_is_not_kept(self) -> None:
        self.script.says("Moby", Unavailable("the model has fallen over"))
        self.script.fails(Busy("everybody asks at once"))
        await self.async_client.aforce_login(self.reader)
        response = await self.async_client.post("/talk/ask/", {"text": "whales"}, headers=STREAM)
        self.assertEqual((await events(response))[-1], ("error", "the model has fallen over"))
        await self.async_client.post("/talk/ask/", {"text": "whales"})
        page = await self.async_client.get("/talk/")
        self.assertContains(page, 'role="alert"')
        self.assertContains(page, "everybody asks at once")
        self.assertEqual(await self.reader.questions.acount(), 0)

    async def test_a_question_of_nothing_or_too_much_is_refused(self) -> None:
        await self.async_client.aforce_login(self.reader)
        for text in ("", "  ", "a" * 501):
            self.assertEqual((await self.async_client.post("/talk/ask/", {"text": text})).status_code, 422)

    async def test_a_forged_question_is_refused(self) -> None:
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.reader)
        self.assertEqual((await client.post("/talk/ask/", {"text": "whales"})).status_code, 403)

    def test_a_reader_sees_and_forgets_his_own_questions_and_no_others(self) -> None:
        for user in (self.reader, self.other):
            user.questions.create(text=f"{user} asks", answer="so it is")
        self.client.force_login(self.reader)
        page = self.client.get("/talk/")
        self.assertContains(page, "ada asks")
        self.assertNotContains(page, "bob asks")
        self.assertRedirects(self.client.post("/talk/forget/"), "/talk/")
        self.assertEqual((self.reader.questions.count(), self.other.questions.count()), (0, 1))


class LibrariansTests(LibraryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other.is_staff = True
        self.other.save()
        self.client.force_login(self.other)
        self.walden = Book.objects.get(title="Walden")
        self.action = {"action": "write_blurbs", "_selected_action": [self.walden.pk]}

    def allow(self, *names: str) -> None:
        self.other.user_permissions.set(Permission.objects.filter(codename__in=names))

    def test_the_model_writes_blurbs_for_those_who_may_change_books(self) -> None:
        self.script.says("A pond, and time to think.")
        self.allow("change_book", "view_book")
        response = self.client.post("/admin/catalogue/book/", self.action, follow=True)
        self.assertContains(response, "The blurbs are written")
        self.walden.refresh_from_db()
        self.assertEqual(self.walden.blurb, "A pond, and time to think.")
        self.script.assert_asked("Walden by Henry David Thoreau. Two years")

    def test_the_error_of_a_model_reaches_the_librarian(self) -> None:
        self.script.fails(Busy("everybody asks at once"))
        self.allow("change_book", "view_book")
        response = self.client.post("/admin/catalogue/book/", self.action, follow=True)
        self.assertContains(response, "Walden: everybody asks at once")

    def test_who_only_looks_has_nothing_written(self) -> None:
        self.allow("view_book")
        self.client.post("/admin/catalogue/book/", self.action, follow=True)
        self.walden.refresh_from_db()
        self.assertEqual(self.walden.blurb, "")
        self.script.assert_nothing_asked()


class ServerTests(LibraryTestCase):
    HELLO = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "hello"}]})

    def ask(self, **body: Any) -> HttpResponse:
        return self.client.post("/bodhi/v1/chat/completions", body or self.HELLO, content_type="application/json")

    def test_readers_use_the_models_of_the_library_and_strangers_none(self) -> None:
        self.assertEqual(self.ask().status_code, 401)
        self.client.force_login(self.reader)
        self.script.says("Good day.")
        self.assertEqual(self.ask().json()["choices"][0]["message"]["content"], "Good day.")
        with self.settings(BODHI={**settings.BODHI, "USERS": {"SCOPES": ["inference"], "MODELS": ["other"]}}):
            self.assertEqual(self.ask().status_code, 403)

    def test_browsers_are_sent_to_the_login_and_programs_are_told(self) -> None:
        self.assertEqual(self.client.get("/bodhi/ping").status_code, 200)
        self.assertEqual(self.client.get("/bodhi/v1/models").status_code, 401)
        browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        self.assertRedirects(self.client.get("/bodhi/v1/models", headers=browser), f"{LOGIN}/bodhi/v1/models")
