"""``settings.BODHI``: the settings of a server with their names in capitals, and a few that only Django has.

Read when they are asked for, never at import: a test may override them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string
from pydantic import BaseModel

from bodhi_asgi import BodhiServerConfig, ConfigurationInvalid
from bodhi_django.databases import url_of
from bodhi_django.permissions import Permissions

NAME: Final = "BODHI"
DJANGOS_OWN: Final = ("IDENTITY", "USERS", "STAFF", "GROUPS", "DJANGO_DATABASE")
MODELS: Final = "models"


@dataclass(frozen=True, slots=True)
class DjangoSettings:
    """What ``settings.BODHI`` says: ``server`` as arguments of a configuration, and what is Django's own."""

    server: Mapping[str, Any]
    identity: str | Callable[[Any], Any] | None
    permissions: Permissions

    def config(self, **explicit: Any) -> BodhiServerConfig:
        """The configuration of a server, with the environment below it. Raises ConfigurationInvalid.

        What is ``explicit`` goes before; of a section, only what it names.
        """
        merged = dict(self.server)
        for name, value in explicit.items():
            said = merged.get(name)
            merged[name] = {**said, **value} if isinstance(said, Mapping) and isinstance(value, Mapping) else value
        return BodhiServerConfig.load(**merged)


def django_settings() -> DjangoSettings:
    """``settings.BODHI`` as it is now. Raises ConfigurationInvalid in one sentence that names the key."""
    given = getattr(settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ConfigurationInvalid(f"settings.{NAME} is a {type(given).__name__}: a dict is accepted", param=NAME)
    server = lowered({key: value for key, value in given.items() if key not in DJANGOS_OWN}, BodhiServerConfig, NAME)
    alias = given.get("DJANGO_DATABASE")
    if alias is not None:
        if "database_url" in server:
            raise ConfigurationInvalid(
                f"settings.{NAME} has both DJANGO_DATABASE and DATABASE_URL: give one", param="DJANGO_DATABASE"
            )
        server["database_url"] = url_of(alias)
    return DjangoSettings(
        server=server,
        identity=_identity(given.get("IDENTITY")),
        permissions=Permissions.read(given.get("USERS"), given.get("STAFF"), given.get("GROUPS")),
    )


def lowered(values: Mapping[Any, Any], model: type[BaseModel] | None, place: str) -> dict[str, Any]:
    """Settings under the names that the server knows: capitals become small letters, section by section.

    Names of models stay as they are. Raises ConfigurationInvalid for a name that is not in capitals.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str) or key != key.upper():
            raise ConfigurationInvalid(
                f"settings.{place}[{key!r}]: names are written in capitals, as all of Django's settings", param=str(key)
            )
        name = key.lower()
        inner = f"{place}[{key!r}]"
        if isinstance(value, Mapping) and name == MODELS and model is BodhiServerConfig:
            found[name] = {
                model_name: lowered(entry, None, inner) if isinstance(entry, Mapping) else entry
                for model_name, entry in value.items()
            }
        elif isinstance(value, Mapping) and (section := _section(model, name)) is not None:
            found[name] = lowered(value, section, inner)
        else:
            found[name] = value
    return found


def _section(model: type[BaseModel] | None, name: str) -> type[BaseModel] | None:
    field = model.model_fields.get(name) if model is not None else None
    kind = field.annotation if field is not None else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _identity(value: Any) -> str | Callable[[Any], Any] | None:
    """``"django"``, ``"host"``, a callable or the dotted path of one, or None."""
    if value is None or value in ("django", "host") or callable(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) and "." in value:
        try:
            found = import_string(value)
        except ImportError as error:
            raise ConfigurationInvalid(
                f"settings.{NAME}['IDENTITY'] is {value!r}, which cannot be imported: {error}", param="IDENTITY"
            ) from error
        if callable(found):
            return found  # type: ignore[no-any-return]
    raise ConfigurationInvalid(
        f"settings.{NAME}['IDENTITY'] is {value!r}: 'django', 'host', a callable, its dotted path, or None is accepted",
        param="IDENTITY",
    )
