"""Django's admin: our pages in it, who may read them, and that nobody can do more."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import AsyncClient, Client

from bodhi_asgi import Grants
from bodhi_django import bodhi_app
from tests.integrations.django_project.suite.doors import Doors

TOKENS = "/admin/bodhi/apitoken/"
AUDIT = "/admin/bodhi/auditentry/"


class Pages(Doors):
    def setUp(self) -> None:
        super().setUp()
        self.root = get_user_model().objects.create_superuser("root")
        self.staff = get_user_model().objects.create_user("staff", is_staff=True)

    def visitor(self, user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def permit(self, name: str) -> None:
        self.staff.user_permissions.add(Permission.objects.get(codename=name, content_type__app_label="bodhi"))

    def test_tokens_and_the_audit_trail_are_read_and_secrets_are_not(self) -> None:
        verbs = bodhi_app().sync()
        secret = verbs.create_api_token("<b>laptop</b>", grants=Grants(models=frozenset({"parrot"}))).token.reveal()
        client = self.visitor(self.root)
        page = client.get(TOKENS).content.decode()
        self.assertIn("&lt;b&gt;laptop&lt;/b&gt;", page)
        self.assertIn("<td>inference, models:read</td><td>parrot</td>", page)
        self.assertIn("1 API token\n", page)
        self.assertNotIn(secret.partition(".")[0], page)
        trail = client.get(AUDIT).content.decode()
        self.assertIn("<td>token.create</td>", trail)
        self.assertNotIn(secret.partition(".")[0], trail)
        index = client.get("/admin/").content.decode()
        self.assertIn(f'href="{TOKENS}"', index)
        self.assertIn(f'href="{AUDIT}"', index)

    async def test_the_pages_are_there_under_asgi(self) -> None:
        client = AsyncClient()
        await client.aforce_login(self.root)
        self.assertEqual([(await client.get(path)).status_code for path in (TOKENS, AUDIT)], [200, 200])

    def test_who_may_read_is_what_djangos_permissions_say(self) -> None:
        client = self.visitor(self.staff)
        self.assertEqual([client.get(path).status_code for path in (TOKENS, AUDIT)], [403, 403])
        self.permit("view_apitoken")
        self.assertEqual([client.get(path).status_code for path in (TOKENS, AUDIT)], [200, 403])
        self.permit("view_auditentry")
        self.assertEqual([client.get(path).status_code for path in (TOKENS, AUDIT)], [200, 200])
        for stranger in (Client(), self.visitor(self.ann)):
            self.assertEqual([stranger.get(path).status_code for path in (TOKENS, AUDIT)], [302, 302])

    def test_nothing_can_be_added_changed_or_deleted(self) -> None:
        client = self.visitor(self.root)
        made = bodhi_app().sync().create_api_token("laptop")
        for rest in ("add/", f"{made.record.id}/", f"{made.record.id}/change/", f"{made.record.id}/delete/"):
            self.assertEqual(client.get(TOKENS + rest).status_code, 404, rest)
        codenames = Permission.objects.filter(content_type__app_label="bodhi").values_list("codename", flat=True)
        self.assertEqual(sorted(codenames), ["view_apitoken", "view_auditentry"])

    def test_a_long_list_comes_page_by_page(self) -> None:
        verbs = bodhi_app().sync()
        for number in range(51):
            verbs.create_api_token(f"token {number:02}")
        client = self.visitor(self.root)
        first, second = (client.get(f"{TOKENS}?p={number}").content.decode() for number in (1, 2))
        self.assertIn("token 50", first)
        self.assertIn('<a href="?q=&amp;status=&amp;p=2">older</a>', first)
        self.assertNotIn(">newer<", first)
        self.assertIn("token 00", second)
        self.assertIn('<a href="?q=&amp;status=&amp;p=1">newer</a>', second)
        self.assertNotIn(">older<", second)

    def test_lists_are_searched_and_narrowed(self) -> None:
        verbs = bodhi_app().sync()
        for name in ("laptop", "phone 50%", "tablet"):
            made = verbs.create_api_token(name)
        verbs.revoke_api_token(made.record.id)
        client = self.visitor(self.root)

        def rows(path: str, **query: str) -> int:
            return client.get(path, query).content.decode().count("<tr><td>")

        self.assertEqual([rows(TOKENS, q=text) for text in ("", "LAP", "50%", "%%", "host", "x")], [3, 1, 1, 0, 3, 0])
        self.assertEqual([rows(TOKENS, status=word) for word in ("active", "revoked", "inactive")], [2, 1, 0])
        self.assertEqual([rows(TOKENS, q="a", status=word) for word in ("active", "revoked")], [1, 1])
        self.assertEqual([rows(AUDIT, q=text) for text in ("token.create", "revoke", made.record.id)], [3, 1, 2])
        self.assertEqual([rows(AUDIT, outcome=word) for word in ("done", "refused")], [4, 0])
        page = client.get(TOKENS, {"q": '"><b>', "status": "active"}).content.decode()
        self.assertIn('value="&quot;&gt;&lt;b&gt;"', page)
        self.assertIn("<option selected>active</option>", page)
        for query in ({"q": "x" * 201}, {"q": "\x00"}, {"status": "gone"}):
            self.assertEqual(client.get(TOKENS, query).status_code, 400, query)

    def test_what_is_no_page_is_said_and_breaks_nothing(self) -> None:
        client = self.visitor(self.root)
        for number in ("0", "-1", "x", "", "1e3", "9" * 30, "1000001", "²"):
            answer = client.get(TOKENS, {"p": number})
            self.assertEqual(answer.status_code, 400, number)
            self.assertIn("errornote", answer.content.decode())

    def test_a_server_that_cannot_start_is_said_and_breaks_nothing(self) -> None:
        client = self.visitor(self.root)
        with self.settings(BODHI={**settings.BODHI, "DATABASE_URL": "postgresql://127.0.0.1:9/none"}):
            answer = client.get(AUDIT)
        self.assertEqual(answer.status_code, 503)
        self.assertIn("errornote", answer.content.decode())

    def test_django_stores_and_migrates_nothing_for_them(self) -> None:
        said = StringIO()
        call_command("makemigrations", "--check", "--dry-run", stdout=said)
        self.assertIn("No changes detected", said.getvalue())
        dump = StringIO()
        call_command("dumpdata", "bodhi", "--all", stdout=dump)
        self.assertEqual(dump.getvalue().strip(), "[]")
