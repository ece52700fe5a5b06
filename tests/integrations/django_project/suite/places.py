"""One database for Django's tables and ours: ``BODHI["DJANGO_DATABASE"]``, with the engine that the project has."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

from contextlib import suppress
from io import StringIO
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client, TransactionTestCase

from bodhi_asgi import ConfigurationInvalid, Grants
from bodhi_django import bodhi_app
from bodhi_django.databases import url_of
from tests.integrations.django_project.suite.doors import CHAT, HELLO, JSON


class Places(TransactionTestCase):
    def tearDown(self) -> None:
        bodhi_app().sync().shutdown()  # PostgreSQL drops no database that somebody is connected to

    def row(self, name: str) -> Any:
        """What Django's own connection sees of a token of ours."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, status FROM bodhi_tokens WHERE name = %s", [name])
            return cursor.fetchone()

    def test_both_kinds_of_tables_are_in_the_database_of_the_test(self) -> None:
        made = bodhi_app().sync().create_api_token("laptop", grants=Grants.everything())
        self.assertEqual(self.row("laptop"), (made.record.id, "active"))
        tables = connection.introspection.table_names()
        self.assertIn("auth_user", tables)
        ours = [table for table in tables if table not in connection.introspection.django_table_names()]
        self.assertIn("bodhi_tokens", ours)
        self.assertLessEqual({table for table in ours if not table.startswith("bodhi_")}, {"django_migrations"})
        self.assertFalse((bodhi_app().server.config.data_dir / "bodhi.db").exists())

    def test_what_we_have_written_is_no_part_of_a_transaction_of_djangos(self) -> None:
        class Undone(Exception):
            """What a view may raise."""

        with suppress(Undone), transaction.atomic():
            self.assertIsNone(get_user_model().objects.filter(username="ann").first())
            bodhi_app().sync().create_api_token("phone", grants=Grants.everything())
            raise Undone
        self.assertIsNotNone(self.row("phone"))

    def test_a_user_and_his_session_are_known_beside_our_tables(self) -> None:
        client = Client()
        client.force_login(get_user_model().objects.create_user("ann"))
        answer = client.post(CHAT, HELLO, content_type=JSON)
        self.assertEqual(answer.json()["choices"][0]["message"]["content"], "hello there")

    def test_commands_find_the_same_place(self) -> None:
        call_command("bodhi_token", "create", "--name", "tablet", "--all-models", stdout=StringIO(), stderr=StringIO())
        self.assertIsNotNone(self.row("tablet"))

    def test_what_cannot_hold_our_tables_is_refused_by_name(self) -> None:
        place = {**connection.settings_dict, "ENGINE": "django.db.backends.mysql"}
        with self.subTest("kind"), override_place(place), self.assertRaisesMessage(ConfigurationInvalid, "'mysql'"):
            url_of("default")
        place = {**connection.settings_dict, "ENGINE": "django.db.backends.postgresql", "HOST": "/var/run/postgresql"}
        with self.subTest("socket"), override_place(place), self.assertRaisesMessage(ConfigurationInvalid, "socket"):
            url_of("default")
        place = {**place, "HOST": "", "OPTIONS": {"service": "library"}}
        with self.subTest("service"), override_place(place), self.assertRaisesMessage(ConfigurationInvalid, "service"):
            url_of("default")
        with self.assertRaisesMessage(ConfigurationInvalid, "'nowhere'"):
            url_of("nowhere")


class override_place:  # noqa: N801 - named as Django's own
    """Another place for the default database, as only its settings say."""

    def __init__(self, place: dict[str, Any]) -> None:
        self._place = place

    def __enter__(self) -> None:
        self._before, connection.settings_dict = connection.settings_dict, self._place

    def __exit__(self, *_: object) -> None:
        connection.settings_dict = self._before
