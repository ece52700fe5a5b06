"""A database of ``settings.DATABASES`` as the URL of ours, so that one database holds both.

Our tables begin with ``bodhi_``. Nothing is shared but the place: our connections are our own, outside of Django's
transactions and pools.
"""

from typing import Any, Final
from urllib.parse import quote

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from bodhi_asgi import ConfigurationInvalid

SQLITE: Final = "sqlite3"
POSTGRESQL: Final = ("postgresql", "postgis")
PARAM: Final = "DJANGO_DATABASE"


def url_of(alias: Any) -> str:
    """The URL of the database ``alias``, as it is connected now: under test, the one of the test.

    Raises ConfigurationInvalid for an alias that does not exist, and for what is neither SQLite nor PostgreSQL.
    """
    try:
        place = connections[alias].settings_dict
    except (ConnectionDoesNotExist, TypeError):
        raise ConfigurationInvalid(
            f"settings.BODHI['DJANGO_DATABASE'] is {alias!r}: one of settings.DATABASES is accepted", param=PARAM
        ) from None
    vendor = str(place["ENGINE"]).rpartition(".")[2]
    if vendor == SQLITE:
        return _sqlite(str(place["NAME"]))
    if vendor in POSTGRESQL:
        return _postgresql(place)
    raise ConfigurationInvalid(
        f"settings.DATABASES[{alias!r}] is of the kind {vendor!r}: SQLite or PostgreSQL can hold our tables; "
        "leave DJANGO_DATABASE out to have a file of our own",
        param=PARAM,
    )


def _sqlite(name: str) -> str:
    """A file; what is in the memory of one connection cannot be shared, so we get a memory of our own."""
    return "sqlite://" if name == ":memory:" or name.startswith("file:memorydb_") else f"sqlite:///{name}"


def _postgresql(place: dict[str, Any]) -> str:
    user, password = quote(str(place.get("USER") or ""), safe=""), quote(str(place.get("PASSWORD") or ""), safe="")
    who = f"{user}:{password}@" if password else f"{user}@" if user else ""
    host = str(place.get("HOST") or "localhost")
    if host.startswith("/"):
        raise ConfigurationInvalid(
            f"settings.DATABASES has the socket {host!r} as HOST: give BODHI a DATABASE_URL with host and port",
            param=PARAM,
        )
    options = place.get("OPTIONS") or {}
    if "service" in options or "passfile" in options:
        raise ConfigurationInvalid(
            "settings.DATABASES leaves to a service or passfile where PostgreSQL is: give BODHI a DATABASE_URL",
            param=PARAM,
        )
    port = f":{place['PORT']}" if place.get("PORT") else ""
    ssl = f"?sslmode={quote(str(options['sslmode']))}" if "sslmode" in options else ""
    return f"postgresql://{who}{host}{port}/{quote(str(place['NAME']), safe='')}{ssl}"
