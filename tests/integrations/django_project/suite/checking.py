"""What ``manage.py check`` says: every finding, when it is made, and that it has a hint."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.test import SimpleTestCase, override_settings


def sync_only(get_response: Any) -> Any:
    """Middleware as many projects have it."""
    return get_response


class Checks(SimpleTestCase):
    def found(self, bodhi: dict[str, Any] | None = None, *, deploy: bool = False) -> list[CheckMessage]:
        with override_settings(BODHI={**settings.BODHI, **(bodhi or {})}):
            found = run_checks(tags=["bodhi"], include_deployment_checks=deploy)
        for finding in found:
            self.assertTrue(finding.hint, finding)
        return found

    def assert_found(self, found: list[CheckMessage], *expected: tuple[str, str]) -> None:
        self.assertEqual([str(finding.id) for finding in found], [finding_id for finding_id, _ in expected])
        for finding, (_, words) in zip(found, expected, strict=True):
            self.assertIn(words, finding.msg)

    def test_a_sound_project_passes_them_all(self) -> None:
        self.assertEqual(self.found(), [])
        self.assertEqual(self.found(deploy=True), [])

    def test_settings_that_cannot_be_used_are_named(self) -> None:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"ENGIN": {}}, "'engin' is no setting"),
            ({"engine": {}}, "capitals"),
            ({"ENGINE": {"n_ctx": 1}}, "capitals"),
            ({"ENGINE": {"N_CTX": "many"}}, "engine.n_ctx"),
            ({"USERS": ["everything"]}, "'USERS'"),
            ({"STAFF": {"SCOPE": []}}, "SCOPES and MODELS"),
            ({"USERS": {"SCOPES": ["inference"], "MODELS": "parrot"}}, "a list of names of models"),
            ({"GROUPS": {"editors": ["everything"]}}, "GROUPS.editors"),
            ({"GROUPS": ["editors"]}, "a dict by names of groups"),
            ({"IDENTITY": "nowhere.nobody"}, "cannot be imported"),
            ({"IDENTITY": "bodhi_asgi.__version__"}, "its dotted path"),
            ({"IDENTITY": 7}, "its dotted path"),
            ({"DJANGO_DATABASE": "other"}, "settings.DATABASES"),
            ({"DJANGO_DATABASE": "default", "DATABASE_URL": "sqlite://"}, "give one"),
        ]
        for bodhi, words in wrong:
            with self.subTest(bodhi=bodhi):
                self.assert_found(self.found(bodhi, deploy=True), ("bodhi.E001", words))
        with override_settings(BODHI=[]):
            self.assert_found(run_checks(tags=["bodhi"]), ("bodhi.E001", "a dict is accepted"))

    def test_tokens_alone_are_worth_a_word(self) -> None:
        self.assert_found(self.found({"IDENTITY": None}), ("bodhi.I001", "Only API tokens"))

    def test_djangos_users_need_djangos_apps(self) -> None:
        with override_settings(INSTALLED_APPS=["bodhi_django"]):
            missing = self.found()
            self.assertEqual(self.found({"IDENTITY": "tests.integrations.django_project.people.by_card"}), [])
        self.assert_found(missing, ("bodhi.E002", "'django.contrib.auth'"), ("bodhi.E002", "'django.contrib.sessions'"))

    def test_middleware_that_is_sync_only_is_named_where_there_is_asgi(self) -> None:
        path = f"{__name__}.sync_only"
        with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, path]):
            self.assert_found(self.found(), ("bodhi.W001", path))
            with override_settings(ASGI_APPLICATION=None):
                self.assertEqual(self.found(), [])
        with override_settings(MIDDLEWARE=["nowhere.Middleware"]):
            self.assertEqual(self.found(), [])  # Django itself says so

    def test_a_place_that_nobody_chose_and_one_that_cannot_be_written_are_named(self) -> None:
        chosen = {name: value for name, value in settings.BODHI.items() if name != "DATA_DIR"}
        with override_settings(BODHI=chosen):
            self.assertEqual(run_checks(tags=["bodhi"]), [])
            found = run_checks(tags=["bodhi"], include_deployment_checks=True)
        self.assert_found(found, ("bodhi.W002", "the home of whoever runs the server"))
        self.assertIn("DATA_DIR", found[0].hint)
        below_a_file = {"DATA_DIR": f"{__file__}/bodhi"}
        self.assert_found(self.found(below_a_file, deploy=True), ("bodhi.E003", "cannot be written"))

    def test_a_server_without_lifespans_is_named(self) -> None:
        with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "daphne"]):
            self.assert_found(self.found(deploy=True), ("bodhi.W003", "daphne runs no lifespan"))
            self.assertEqual(self.found(), [])

    def test_wsgi_alone_is_worth_a_word(self) -> None:
        with override_settings(ASGI_APPLICATION=None):
            self.assert_found(self.found(deploy=True), ("bodhi.I002", "no ASGI_APPLICATION"))
            self.assertEqual(self.found(), [])
