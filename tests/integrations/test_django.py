"""Django: composed in ``asgi.py``, in a process of its own, because Django's settings are one per process."""

import subprocess
import sys
from pathlib import Path

PROJECT = """
import asyncio, json, sys
from types import ModuleType

import django
import httpx2
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from bodhi_django import bodhi_asgi, get_bodhi

folder = sys.argv[1]
hello = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


async def ask(request):
    return HttpResponse((await get_bodhi(request).chat_completion(hello, stream=False)).text)


def ask_in_a_thread(request):
    return HttpResponse(async_to_sync(get_bodhi(request).chat_completion)(hello, stream=False).text)


async def who(request):
    return HttpResponse((await get_bodhi(request).for_request(request).caller()).name)


urls = ModuleType("urls")
urls.urlpatterns = [
    path("", lambda _: HttpResponse("host")), path("ask", ask), path("sync", ask_in_a_thread), path("who", who),
]
settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=urls,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/django.db"}},
    USE_TZ=True,
)
django.setup()
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.core.asgi import get_asgi_application
from django.core.management import call_command

call_command("migrate", verbosity=0)


def session_of(user):
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key


ann = get_user_model().objects.create_user("ann", password="x")
cookie = session_of(ann)

engine = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
application = bodhi_asgi(
    get_asgi_application(), identity="django", data_dir=f"{folder}/bodhi", models={"parrot": "x"}, demo=False,
    engine=engine,
)


async def main():
    from tests.servers import serving

    seen = {}
    async with serving(application) as base, httpx2.AsyncClient(base_url=base) as client:
        seen["host"] = (await client.get("/")).text
        seen["nobody"] = (await client.post("/bodhi/v1/chat/completions", json=hello)).status_code
        client.cookies.set("sessionid", cookie)
        answer = await client.post("/bodhi/v1/chat/completions", json=hello)
        seen["ann"] = answer.json()["choices"][0]["message"]["content"]
        elsewhere = {"sec-fetch-site": "cross-site"}
        seen["cross"] = (await client.post("/bodhi/v1/chat/completions", json=hello, headers=elsewhere)).status_code
        seen["foreign host"] = (await client.get("/bodhi/ping", headers={"host": "evil.example"})).status_code
        forwarded = {"x-forwarded-host": "x.example"}
        seen["forwarded host"] = (await client.get("/bodhi/ping", headers=forwarded)).status_code
        seen["views"] = [(await client.get(path)).text for path in ("/ask", "/sync", "/who")]
        client.cookies.clear()
        client.cookies.set("sessionid", "forged")
        seen["forged"] = (await client.post("/bodhi/v1/chat/completions", json=hello)).status_code
    print(json.dumps(seen))


asyncio.run(main())
"""


def test_djangos_own_user_is_the_user_and_its_allowed_hosts_hold(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    command = [sys.executable, "-W", "ignore", "-c", PROJECT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == (
        '{"host": "host", "nobody": 401, "ann": "hello there", "cross": 403, "foreign host": 400, '
        '"forwarded host": 200, "views": ["hello there", "hello there", "ann"], "forged": 401}'
    )
