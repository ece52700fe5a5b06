"""``python -m library`` prepares the database and serves the library on this machine, for this machine."""

import argparse
import os
import secrets
import sys

import django
import uvicorn
from django.core.management import call_command


def main() -> None:
    parser = argparse.ArgumentParser(prog="library", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "library.settings")
    django.setup()
    prepare()
    uvicorn.run("library.asgi:application", port=port, timeout_graceful_shutdown=5)


def prepare() -> None:
    """Tables, and in a new library a few books and somebody who may do everything."""
    from django.contrib.auth import get_user_model

    from library.catalogue.models import Book

    call_command("migrate", verbosity=0)
    if not Book.objects.exists():
        call_command("loaddata", "books", verbosity=0)
    users = get_user_model().objects
    if not users.exists():
        password = secrets.token_urlsafe(9)
        users.create_superuser("librarian", password=password)
        sys.stdout.write(f"Sign in as librarian with the password {password}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
