"""The server behind Django's middleware, asked by Django's own clients, sync and async."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

import asyncio
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.handlers.wsgi import WSGIHandler
from django.test import AsyncClient, Client, TransactionTestCase, override_settings

from bodhi_asgi import Grants
from bodhi_django import bodhi_app
from bodhi_django.exchange import PIECE_BYTES

CHAT = "/bodhi/v1/chat/completions"
HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
ENDLESS = {
    "model": "parrot",
    "messages": [{"role": "user", "content": "poison: sleep 0.01 on and on"}],
    "ignore_eos": True,
    "max_tokens": 4000,
    "stream": True,
}
JSON = "application/json"
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"
PEOPLE = "tests.integrations.django_project.people"


class Doors(TransactionTestCase):
    """With a server of its own for each test, in a folder of its own."""

    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(BODHI={**settings.BODHI, "DATA_DIR": folder}))
        self.ann = get_user_model().objects.create_user("ann")

    def token(self) -> str:
        return str(bodhi_app().sync().create_api_token("laptop", grants=Grants.everything()).token.reveal())

    def signed_in(self, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(self.ann)
        return client


class Logins(Doors):
    """Where all pages need a login, browsers are sent there, and programs are told in our words."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, LOGIN]))

    def test_a_browser_is_sent_to_the_login(self) -> None:
        answer = Client().get("/bodhi/v1/models", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        self.assertRedirects(answer, "/login/?next=/bodhi/v1/models", fetch_redirect_response=False)

    def test_a_program_is_refused_in_our_words(self) -> None:
        for accept in ("*/*", JSON, "text/event-stream", ""):
            with self.subTest(accept=accept):
                answer = Client().post(CHAT, HELLO, content_type=JSON, headers={"accept": accept})
                self.assertEqual(answer.status_code, 401)
                self.assertIn("error", answer.json())
        self.assertEqual(Client().get("/bodhi/ping", headers={"accept": "*/*"}).status_code, 200)

    def test_who_is_signed_in_passes_and_so_does_a_token(self) -> None:
        self.assertEqual(self.signed_in().get("/bodhi/v1/models").status_code, 200)
        bearer = {"authorization": f"Bearer {self.token()}"}
        for accept in (JSON, "text/html"):
            self.assertEqual(Client().get("/bodhi/v1/models", headers={**bearer, "accept": accept}).status_code, 200)

    async def test_the_same_holds_under_asgi(self) -> None:
        client = AsyncClient()
        browser = await client.get("/bodhi/v1/models", headers={"accept": "text/html"})
        self.assertEqual((browser.status_code, browser["location"]), (302, "/login/?next=/bodhi/v1/models"))
        self.assertEqual((await client.get("/bodhi/v1/models", headers={"accept": "*/*"})).status_code, 401)
        await client.aforce_login(self.ann)
        self.assertEqual((await client.get("/bodhi/v1/models")).status_code, 200)


class Forgery(Doors):
    """Who comes by session proves that a page of this site sent him; a token is proof by itself."""

    def refused(self, client: Client, **headers: str) -> str:
        answer = client.post(CHAT, HELLO, content_type=JSON, headers=headers)
        self.assertEqual((answer.status_code, answer.json()["error"]["code"]), (403, "csrf_refused"))
        return str(answer.json()["error"]["message"])

    def test_a_session_needs_the_token_of_a_page(self) -> None:
        client = self.signed_in(enforce_csrf_checks=True)
        self.assertIn("CSRF cookie not set", self.refused(client))
        client.cookies["csrftoken"] = "a" * 32
        self.assertIn("CSRF token missing", self.refused(client))
        self.assertIn("incorrect", self.refused(client, **{"x-csrftoken": "b" * 32}))
        right = {"x-csrftoken": "a" * 32}
        self.assertIn("Origin checking failed", self.refused(client, **right, origin="https://evil.example"))
        answer = client.post(CHAT, HELLO, content_type=JSON, headers=right)
        self.assertEqual(answer.json()["choices"][0]["message"]["content"], "hello there")
        self.assertEqual(client.get("/bodhi/v1/models").status_code, 200)

    def test_a_form_of_another_site_is_no_way_around(self) -> None:
        client = self.signed_in(enforce_csrf_checks=True)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = client.generic("POST", CHAT, json.dumps(HELLO), content_type=kind)
            self.assertIn(answer.status_code, (403, 415), kind)

    def test_a_token_needs_none_and_leaves_the_session_alone(self) -> None:
        client = self.signed_in(enforce_csrf_checks=True)
        token = self.token()
        for headers in ({"authorization": f"Bearer {token}"}, {"authorization": f"bearer  {token}"}):
            self.assertEqual(client.post(CHAT, HELLO, content_type=JSON, headers=headers).status_code, 200)
        who = client.get("/bodhi/bodhi/v1/tokens", headers={"authorization": f"Bearer {token}"})
        self.assertEqual(who.status_code, 403)  # a token manages no tokens, whoever else is signed in

    def test_what_only_looks_like_a_token_is_refused_and_is_no_way_around(self) -> None:
        client = self.signed_in(enforce_csrf_checks=True)
        for value, status in (("Bearer sk-bodhiapp_forged", 401), ("Bearer other", 403), ("Basic YTpi", 403)):
            answer = client.post(CHAT, HELLO, content_type=JSON, headers={"authorization": value})
            self.assertEqual(answer.status_code, status, value)

    async def test_the_same_holds_under_asgi(self) -> None:
        client = AsyncClient(enforce_csrf_checks=True)
        await client.aforce_login(self.ann)
        refused = await client.post(CHAT, HELLO, content_type=JSON)
        self.assertEqual((refused.status_code, refused.json()["error"]["code"]), (403, "csrf_refused"))
        client.cookies["csrftoken"] = "a" * 32
        answer = await client.post(CHAT, HELLO, content_type=JSON, headers={"x-csrftoken": "a" * 32})
        self.assertEqual(answer.status_code, 200, answer.content)


class Identities(Doors):
    """Users of another kind than Django's."""

    def who(self, client: Client) -> list[int]:
        cards = ({"x-card": "ann"}, {"x-card": "nobody"}, {})
        return [client.get("/bodhi/v1/models", headers=card).status_code for card in cards]

    def test_a_function_of_the_project_names_them_sync_or_async(self) -> None:
        for name in ("by_card", "by_card_too"):
            with self.subTest(name=name), self.settings(BODHI={**settings.BODHI, "IDENTITY": f"{PEOPLE}.{name}"}):
                self.assertEqual(self.who(Client()), [200, 401, 401])
                self.assertEqual(self.who(self.signed_in()), [200, 401, 401])

    async def test_the_same_holds_under_asgi(self) -> None:
        for name in ("by_card", "by_card_too"):
            with self.subTest(name=name), self.settings(BODHI={**settings.BODHI, "IDENTITY": f"{PEOPLE}.{name}"}):
                client = AsyncClient()
                answers = [await client.get("/bodhi/v1/models", headers={"x-card": who}) for who in ("ann", "nobody")]
                self.assertEqual([answer.status_code for answer in answers], [200, 401])

    def test_a_function_that_answers_true_lets_nobody_in(self) -> None:
        with (
            self.settings(BODHI={**settings.BODHI, "IDENTITY": f"{PEOPLE}.by_mistake"}),
            self.assertLogs("bodhi_asgi", "ERROR"),
        ):
            self.assertNotEqual(Client().get("/bodhi/v1/models").status_code, 200)

    def test_groups_and_models_bound_what_a_user_may(self) -> None:
        self.ann.groups.add(Group.objects.create(name="readers"))
        readers = {"SCOPES": ["inference", "models:read"], "MODELS": ["other"]}
        with self.settings(BODHI={**settings.BODHI, "USERS": [], "GROUPS": {"readers": readers}}):
            self.assertEqual(self.signed_in().get("/bodhi/v1/models").json()["data"], [])
            self.assertEqual(self.signed_in().post(CHAT, HELLO, content_type=JSON).status_code, 403)
        with self.settings(BODHI={**settings.BODHI, "USERS": []}):
            self.assertEqual(self.signed_in().get("/bodhi/v1/models").status_code, 403)

    def test_who_is_not_active_is_refused(self) -> None:
        client = self.signed_in()
        get_user_model().objects.filter(pk=self.ann.pk).update(is_active=False)
        self.assertIn(client.get("/bodhi/v1/models").status_code, (401, 403))


class Overrides(Doors):
    """A test of the host's overrides settings, and has another server for as long."""

    def models(self) -> list[str]:
        return [model["id"] for model in self.signed_in().get("/bodhi/v1/models").json()["data"]]

    def test_another_server_answers_while_settings_are_overridden(self) -> None:
        self.assertEqual(self.models(), ["parrot"])
        before = bodhi_app()
        with self.settings(BODHI={**settings.BODHI, "MODELS": {"raven": "x"}}):
            self.assertEqual(before.status, "stopped")
            self.assertEqual(self.models(), ["raven"])
            during = bodhi_app()
        self.assertEqual(during.status, "stopped")
        self.assertEqual(self.models(), ["parrot"])
        with self.settings(USE_TZ=True):
            self.assertEqual(bodhi_app().status, "ready")

    async def test_an_async_test_overrides_too(self) -> None:
        client = AsyncClient()
        await client.aforce_login(self.ann)
        for name in ("raven", "crow"):
            with self.settings(BODHI={**settings.BODHI, "MODELS": {name: "x"}}):
                answer = await client.get("/bodhi/v1/models")
                self.assertEqual([model["id"] for model in answer.json()["data"]], [name])


class Lifespans(Doors):
    async def test_who_has_none_is_told_of_ours_for_django(self) -> None:
        with self.assertLogs("bodhi_asgi.asgi.app", "WARNING") as logged:
            await AsyncClient().get("/bodhi/ping")
        self.assertIn("let asgi.py serve bodhi_asgi(get_asgi_application(), path=None)", logged.output[0])

    def test_under_wsgi_there_is_none_to_tell_of(self) -> None:
        with self.assertNoLogs("bodhi_asgi.asgi.app", "WARNING"):
            self.assertEqual(Client().get("/bodhi/ping").status_code, 200)


class Views(Doors):
    def test_views_of_both_kinds_ask_by_the_sync_client(self) -> None:
        for path in ("/ask", "/aask"):
            self.assertEqual(Client().get(path).content, b"hello there")

    async def test_views_of_both_kinds_ask_by_the_async_client(self) -> None:
        for path in ("/ask", "/aask"):
            self.assertEqual((await AsyncClient().get(path)).content, b"hello there")

    def test_strange_verbs_are_told_apart(self) -> None:
        from bodhi_django import DjangoBodhi

        verbs = DjangoBodhi(bodhi_app().server)
        self.assertIn("achat_completion", dir(verbs))
        self.assertIn("chat_completion", dir(verbs))
        for name in ("achat", "chat", "a_open", "aaliases"):
            with self.assertRaisesMessage(AttributeError, "has no verb"):
                getattr(verbs, name)


class Streams(Doors):
    """Bodies and answers that come piece by piece."""

    def setUp(self) -> None:
        super().setUp()
        engine = {"RUNNER": "poison", "ISOLATION": "thread", "N_CTX": 8192}
        self.enterContext(override_settings(BODHI={**settings.BODHI, "ENGINE": engine}))

    def environ(self, body: io.BufferedIOBase, length: int, token: str) -> dict[str, Any]:
        return {
            **Client()._base_environ(PATH_INFO=CHAT, REQUEST_METHOD="POST"),
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            "CONTENT_TYPE": JSON,
            "CONTENT_LENGTH": str(length),
            "wsgi.input": body,
        }

    def asked(self, request: dict[str, Any]) -> tuple[str, Any]:
        started: list[str] = []
        content = json.dumps(request).encode()
        environ = self.environ(io.BytesIO(content), len(content), self.token())
        answer = WSGIHandler()(environ, lambda status, _: started.append(status))
        return started[0], answer

    def running(self) -> int:
        return sum(model.running for model in bodhi_app().sync().loaded_models().data)

    def wait_until(self, fact: Callable[[], bool]) -> None:
        while not fact():
            pass  # each look takes a turn on the loop in the background

    def test_a_stream_that_the_wsgi_server_closes_stops_the_model(self) -> None:
        status, answer = self.asked(ENDLESS)
        self.assertEqual(status, "200 OK")
        self.assertTrue(next(iter(answer)).startswith(b"data: "))
        self.wait_until(lambda: self.running() == 1)
        answer.close()
        self.wait_until(lambda: self.running() == 0)

    async def test_a_stream_that_is_closed_under_asgi_stops_the_model(self) -> None:
        client = AsyncClient()
        await client.aforce_login(self.ann)
        answer = await client.post(CHAT, ENDLESS, content_type=JSON)
        pieces = aiter(answer)
        self.assertTrue((await anext(pieces)).startswith(b"data: "))
        server = bodhi_app().server

        async def running() -> int:
            return sum(model.running for model in (await server.loaded_models()).data)

        while await running() != 1:
            await asyncio.sleep(0.01)
        answer.close()
        while await running() != 0:
            await asyncio.sleep(0.01)

    async def test_a_long_body_is_read_under_asgi_too(self) -> None:
        client = AsyncClient()
        await client.aforce_login(self.ann)
        long = {**HELLO, "messages": [{"role": "user", "content": "u" * 10_000_000}], "n": 0}
        answer = await client.post(CHAT, long, content_type=JSON)
        self.assertEqual((answer.status_code, answer.json()["error"]["param"]), (400, "n"))
        self.assertEqual((await client.post(CHAT, b"x" * 12_000_000, content_type=JSON)).status_code, 413)

    async def test_a_stream_is_read_whole_by_the_async_client(self) -> None:
        client = AsyncClient()
        await client.aforce_login(self.ann)
        answer = await client.post(CHAT, {**HELLO, "stream": True}, content_type=JSON)
        self.assertEqual(answer["content-type"].partition(";")[0], "text/event-stream")
        lines = b"".join([piece async for piece in answer]).decode().split("\n\n")
        self.assertEqual(lines[-2:], ["data: [DONE]", ""])

    def test_what_is_answered_is_sound_wsgi(self) -> None:
        token = self.token()
        started: list[str] = []

        def begun(status: str, headers: Any, error: Any = None) -> None:
            self.assertIsNone(error)
            self.assertTrue(headers)
            started.append(status)

        for request in (HELLO, {**HELLO, "stream": True}):
            content = json.dumps(request).encode()
            environ = self.environ(io.BytesIO(content), len(content), token)
            environ |= {"wsgi.errors": io.StringIO(), "SCRIPT_NAME": ""}
            answer = validator(WSGIHandler())(environ, begun)
            self.assertIn(b"hello", b"".join(answer))
            answer.close()
        self.assertEqual(started, ["200 OK", "200 OK"])

    def test_a_long_body_is_read_in_pieces_and_one_too_long_is_not_read(self) -> None:
        reads: list[int] = []

        class Counted(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                reads.append(-1 if size is None else size)
                return super().read(size)

        token = self.token()
        content = json.dumps({**HELLO, "n": 0, "user": "u" * 10_000_000}).encode()
        body = Counted(content)
        started: list[str] = []
        b"".join(WSGIHandler()(self.environ(body, len(content), token), lambda status, _: started.append(status)))
        self.assertEqual(body.tell(), len(content))
        self.assertLessEqual(max(reads), PIECE_BYTES)
        self.assertGreater(min(reads), 0)

        body = Counted(b"x" * 20_000_000)
        b"".join(WSGIHandler()(self.environ(body, 20_000_000, token), lambda status, _: started.append(status)))
        self.assertEqual(started, ["400 Bad Request", "413 Request Entity Too Large"])
        self.assertEqual(body.tell(), 0)
