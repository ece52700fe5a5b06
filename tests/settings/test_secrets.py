"""The password of a database is nowhere to be read: not in rows, reprs, refusals or tracebacks."""

import traceback

import pytest
from rich.console import Console
from rich.pretty import Pretty

from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.settings.checks import without_password
from bodhi_asgi.settings.schema import BodhiServerConfig

SECRET = "lovelace"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ada:{SECRET}@localhost/notes",
        f"postgresql://ada:x@{SECRET}@localhost/notes",
        f"postgresql://:{SECRET}@localhost/notes",
        f"postgresql://localhost/notes?password={SECRET}",
        f"postgresql://localhost/notes?user=ada&sslpassword={SECRET}&x=1",
    ],
)
def test_a_password_is_in_no_row_and_no_repr(url: str) -> None:
    config = BodhiServerConfig(database_url=url)
    assert config.resolved_database_url == url
    console = Console(width=1000)
    with console.capture() as printed:
        console.print(config, Pretty(config))
    for text in (repr(config), str(config), f"{config}", str(config.rows()), printed.get()):
        assert SECRET not in text
        assert "localhost/notes" in text


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ada:{SECRET}@localhost/notes",
        f"postgresql:ada:{SECRET}@localhost/notes",
        f"postgresql://ada:{SECRET}/{SECRET}@localhost/notes",
        f"postgresql://ada:#{SECRET}@localhost:port/notes",
        f"postgresql://[ada:{SECRET}@localhost/notes",
        f"postgresql://localhost:port/notes?password={SECRET}",
        f" postgresql://ada:{SECRET}@localhost/notes",
    ],
)
def test_a_password_is_in_no_refusal(url: str) -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig(database_url=url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.param == "database_url"


def test_a_password_in_the_wrong_place_is_hidden_too() -> None:
    url = f"postgresql://ada:{SECRET}@localhost/notes"
    for settings in ({"public_url": url}, {"database": url}, {"engine": {"slots": url}}, {"databse_url": url}):
        with pytest.raises(ConfigurationInvalid) as caught:
            BodhiServerConfig(**settings)
        assert SECRET not in caught.value.message


def test_what_is_no_secret_is_shown() -> None:
    assert without_password("sqlite:////var/lib/bodhi.db") == "sqlite:////var/lib/bodhi.db"
    assert without_password("postgresql://ada@localhost:5432/notes?sslmode=require") == (
        "postgresql://ada@localhost:5432/notes?sslmode=require"
    )
    assert without_password("https://a.example:8000/bodhi") == "https://a.example:8000/bodhi"
