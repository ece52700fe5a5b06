"""Settings of the library: what differs from one machine to the next comes from the environment, and all of it has a
value that works on this one."""

import os
from contextlib import suppress
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE = Path(os.environ.get("LIBRARY_DATABASE") or BASE_DIR / "library.db")
CHAT_MODEL = os.environ.get("LIBRARY_CHAT_MODEL") or "demo"
EMBEDDING_MODEL = os.environ.get("LIBRARY_EMBEDDING_MODEL", "")
LONGEST_ANSWER = int(os.environ.get("LIBRARY_LONGEST_ANSWER") or 400)
IS_HTTPS = os.environ.get("LIBRARY_HTTPS") == "1"


def secret_key() -> str:
    """The key of the environment, or one that was made for this database and that nobody else can read."""
    if key := os.environ.get("LIBRARY_SECRET_KEY"):
        return key
    place = DATABASE.with_suffix(".key")
    with suppress(FileExistsError), open(place, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as new:
        new.write(get_random_secret_key())
    return place.read_text()


SECRET_KEY = secret_key()
DEBUG = os.environ.get("LIBRARY_DEBUG") == "1"
ALLOWED_HOSTS = [name for name in os.environ.get("LIBRARY_HOSTS", "localhost,127.0.0.1").split(",") if name]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "bodhi_django",
    "library.catalogue",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "library.guard.content_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # a view is open only where it says so
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "bodhi_django.middleware.BodhiMiddleware",
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

ROOT_URLCONF = "library.urls"
ASGI_APPLICATION = "library.asgi.application"
WSGI_APPLICATION = "library.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE, "OPTIONS": {"timeout": 20}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they bind the whole domain: decide them for yours
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "catalogue"
CSRF_COOKIE_HTTPONLY = True  # the script takes the token from the form
if IS_HTTPS:
    SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 30 * 24 * 3600

# Whoever is signed in may use the models of the library, and no other. The rest is in the variables BODHI_….
BODHI = {
    "IDENTITY": "django",
    "USERS": {
        "SCOPES": ["models:read", "inference"],
        "MODELS": [model for model in (CHAT_MODEL, EMBEDDING_MODEL) if model],
    },
}
