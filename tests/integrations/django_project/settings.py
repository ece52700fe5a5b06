"""Settings by the environment: each test runs the project with a folder of its own."""

import json
import os
from pathlib import Path

FOLDER = Path(os.environ["PROJECT_FOLDER"])
DEBUG = False
SECRET_KEY = "only for tests, but long enough and of many different characters: 0123456789 abcdefghij"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "tests.integrations.django_project.urls"
ASGI_APPLICATION = "tests.integrations.django_project.asgi.application"
WSGI_APPLICATION = "tests.integrations.django_project.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "bodhi_django",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "bodhi_django.middleware.BodhiMiddleware",
    *json.loads(os.environ.get("PROJECT_MIDDLEWARE", "[]")),
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": FOLDER / "django.db",
        "TEST": {"NAME": FOLDER / "test.db"},
        **json.loads(os.environ.get("PROJECT_DATABASE", "{}")),
        "ATOMIC_REQUESTS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/login/"
USE_TZ = True
BODHI = {
    "DATA_DIR": FOLDER / "bodhi",
    "DEMO": False,
    "IDENTITY": "django",
    "GROUPS": {"librarians": ["models:write", "tokens:read", "tokens:write"]},
    "MODELS": {"parrot": "x"},
    "ENGINE": {"RUNNER": "echo", "ISOLATION": "thread", "N_CTX": 220_000},
    "DOWNLOADS": {"PARALLEL": 0},
    "LIMITS": {"BODY_BYTES": 11_000_000},
    **json.loads(os.environ.get("PROJECT_BODHI", "{}")),
}
