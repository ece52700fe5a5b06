"""Fill a project's folder: Django's tables, users with their sessions, and an API token. Prints what tests need."""

import json
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integrations.django_project.settings")
django.setup()


def main() -> None:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.auth.models import Group
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command

    from bodhi_asgi import Grants
    from bodhi_django import bodhi_app

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    people = {
        "ann": users.create_user("ann"),
        "lib": users.create_user("lib"),
        "staff": users.create_user("staff", is_staff=True),
        "root": users.create_superuser("root"),
    }
    people["lib"].groups.add(Group.objects.create(name="librarians"))
    facts = {}
    for name, user in people.items():
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        facts[name] = session.session_key
    with bodhi_app().sync() as bodhi:
        facts["token"] = bodhi.create_api_token("laptop", grants=Grants.everything()).token.reveal()
    print(json.dumps(facts))


main()
