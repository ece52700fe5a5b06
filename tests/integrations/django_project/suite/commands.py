"""The commands: what they print, and how they end."""

# ruff: noqa: PT009 - outside of pytest only these assertions say what differs

import json
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import SimpleTestCase, override_settings

from bodhi_asgi.exit_codes import ExitCode


class Commands(SimpleTestCase):
    databases = ("default",)

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def manage(self, *arguments: str, **bodhi: Any) -> tuple[int, str, str]:
        """How a command ends, what it prints, and what it says beside that."""
        out, err = StringIO(), StringIO()
        with override_settings(BODHI={**settings.BODHI, "DATA_DIR": self.folder, **bodhi}):
            try:
                call_command(*arguments, stdout=out, stderr=err)
            except CommandError as error:
                return error.returncode, out.getvalue(), str(error)
        return 0, out.getvalue(), err.getvalue()

    def done(self, *arguments: str, **bodhi: Any) -> str:
        code, out, err = self.manage(*arguments, **bodhi)
        self.assertEqual(code, ExitCode.OK, err)
        return out

    def test_tokens_are_made_listed_and_revoked(self) -> None:
        token = json.loads(self.done("bodhi_token", "--json", "create", "--name", "laptop", "--model", "parrot"))
        self.assertTrue(token["token"].startswith("sk-bodhiapp_"))
        self.assertEqual(token["models"], ["parrot"])
        self.assertEqual(token["scopes"], ["inference", "models:read"])

        code, out, err = self.manage("bodhi_token", "create", "--name", "phone", "--all-models", "--scope", "inference")
        self.assertEqual((code, out[:12]), (ExitCode.OK, "sk-bodhiapp_"))
        self.assertEqual(err, "This is the token 'phone', shown only now.\n")

        lines = [line.split("\t") for line in self.done("bodhi_token", "list").splitlines()]
        self.assertEqual([line[1:3] for line in lines], [["name", "status"], ["phone", "active"], ["laptop", "active"]])
        self.assertEqual(self.done("bodhi_token", "revoke", token["id"]), "The token 'laptop' is revoked.\n")
        listed = {row["name"]: row for row in json.loads(self.done("bodhi_token", "--json", "list"))}
        self.assertEqual((listed["laptop"]["status"], listed["phone"]["models"]), ("revoked", ["*"]))
        self.assertEqual(json.loads(self.done("bodhi_token", "--json", "revoke", token["id"]))["status"], "revoked")

    def test_what_is_wrong_in_a_call_is_said_in_one_sentence(self) -> None:
        missing = self.manage("bodhi_token", "revoke", "nothing")
        self.assertEqual(missing, (ExitCode.NOT_FOUND, "", "there is no token 'nothing'"))
        for models in ([], ["--all-models", "--model", "parrot"]):
            code, _, said = self.manage("bodhi_token", "create", "--name", "laptop", *models)
            self.assertEqual(code, ExitCode.USAGE)
            self.assertIn("--all-models", said)
        code, _, said = self.manage("bodhi_token", "create", "--name", "x", "--all-models", "--expires-in-days", "0")
        self.assertEqual(code, ExitCode.USAGE)
        self.assertIn("'expires_in_days' is 0", said)
        code, _, said = self.manage("bodhi_models", ENGIN={})
        self.assertEqual(code, ExitCode.USAGE)
        self.assertIn("'engin' is no setting", said)

    def test_models_are_listed(self) -> None:
        self.assertEqual(self.done("bodhi_models"), "model\nparrot\n")
        self.assertEqual([model["id"] for model in json.loads(self.done("bodhi_models", "--json"))], ["parrot"])

    def test_a_reference_that_is_none_is_refused(self) -> None:
        code, _, said = self.manage("bodhi_pull", "not a reference")
        self.assertEqual(code, ExitCode.USAGE)
        self.assertIn("not a reference", said)

    def test_the_tables_are_made_when_they_are_told_to_be(self) -> None:
        bodhi = {"MIGRATIONS": "check"}
        code, _, said = self.manage("bodhi_models", **bodhi)
        self.assertNotEqual(code, ExitCode.OK)
        self.assertIn("migrat", said)
        self.assertEqual(self.done("bodhi_migrate", **bodhi), "The database is up to date.\n")
        self.assertEqual(json.loads(self.done("bodhi_migrate", "--json", **bodhi)), {"database": "up to date"})
        self.assertEqual(self.done("bodhi_models", **bodhi), "model\nparrot\n")

    def test_a_section_of_the_settings_keeps_what_a_command_does_not_say_otherwise(self) -> None:
        code, _, said = self.manage("bodhi_pull", "owner/repo", DOWNLOADS={"PARALEL": 3})
        self.assertEqual(code, ExitCode.USAGE)
        self.assertIn("paralel", said)

    def test_the_doctor_says_what_it_found(self) -> None:
        code, out, _ = self.manage("bodhi_doctor", "--json", "--no-engine")
        self.assertIn(code, (ExitCode.OK, ExitCode.FAILED))
        findings = json.loads(out)["findings"]
        self.assertEqual(any(finding["status"] == "failed" for finding in findings), code == ExitCode.FAILED)
        code, out, said = self.manage("bodhi_doctor", "--no-engine", DATABASE_URL="postgresql://127.0.0.1:9/none")
        self.assertEqual((code, said), (ExitCode.FAILED, "something that is needed does not work here"))
        self.assertIn("failed\t", out)
