"""``BodhiServerConfig``: every setting of a server, validated at construction; nothing is touched on disk.

Values come from arguments, then the environment (``BODHI_`` and the field, ``__`` for nesting), then a file that was
named, then the defaults. The object remembers which, and :meth:`BodhiServerConfig.rows` shows it.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from platformdirs import user_data_dir
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from bodhi_asgi.settings import checks
from bodhi_asgi.settings.frozen import FrozenDict
from bodhi_asgi.settings.hub import HubSettings, borrowed
from bodhi_asgi.settings.refusal import refusal, unknown, wrong_value
from bodhi_asgi.settings.section import Section
from bodhi_asgi.settings.sections import (
    CacheSettings,
    DatabaseSettings,
    DownloadSettings,
    EngineSettings,
    LimitSettings,
    ShelfSettings,
    TokenSettings,
)
from bodhi_asgi.settings.sources import DELIMITER, PREFIX, from_environment, from_file, variables
from bodhi_asgi.settings.tuning import ModelEntry, check_together, tuned

Origin: TypeAlias = Literal["argument", "environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as shown: its value with secrets removed, and where it came from."""

    name: str
    value: str
    origin: Origin
    default: str
    description: str
    env: str


class BodhiServerConfig(BaseModel):
    """The configuration of one server. Frozen. Raises ConfigurationInvalid naming field, value and what is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Annotated[
        Path,
        Field(
            default_factory=lambda: Path(user_data_dir("bodhi_asgi", appauthor=False)),
            description="Where the database, keys and temporary files live; created at start, mode 0700.",
        ),
    ]
    database_url: Annotated[
        str | None,
        Field(description="sqlite:///path, sqlite:// for memory, or postgresql://…; a file in data_dir if unset."),
    ] = None
    database: DatabaseSettings = DatabaseSettings()
    migrations: Annotated[
        Literal["auto", "check", "manual"],
        Field(description="Bring the database up to date at start, refuse to start when it is not, or leave it alone."),
    ] = "auto"
    models: Annotated[
        dict[str, ModelEntry],
        Field(
            description="Models by name: a path to a GGUF file, owner/repo/file.gguf in the Hugging Face cache, or a "
            "table with path and what differs from engine."
        ),
    ] = FrozenDict()
    demo: Annotated[bool, Field(description="Offer the small embedded model under the name 'demo'.")] = True
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    tokens: TokenSettings = TokenSettings()
    cache: CacheSettings = CacheSettings()
    downloads: DownloadSettings = DownloadSettings()
    shelf: ShelfSettings = ShelfSettings()
    hub: Annotated[HubSettings, Field(default_factory=HubSettings)]
    enable_http: Annotated[bool, Field(description="Listen on bind_address when started without a host.")] = False
    bind_address: Annotated[str, Field(description="host:port to listen on; [host]:port for IPv6.")] = "127.0.0.1:1135"
    public_url: Annotated[
        str | None, Field(description="The address users see, for links and cookies; never guessed from a request.")
    ] = None
    cors_origins: Annotated[
        tuple[str, ...], Field(description="Exact origins that browsers may call from; none if empty, never '*'.")
    ] = ()
    docs: Annotated[
        bool | None,
        Field(description="Serve /docs and /openapi.json; if unset, only standalone on the loopback address."),
    ] = None
    on_start_failure: Annotated[
        Literal["raise", "degrade"],
        Field(description="When start fails, fail the host's start too, or answer 503 below the mount."),
    ] = "raise"
    drain_on_signals: Annotated[
        bool,
        Field(description="Hear SIGTERM and SIGINT before the server does, so that open streams end at once."),
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Level of the command line's own log.")
    ] = "info"

    _origins: dict[str, Origin] = PrivateAttr(default_factory=dict)

    def __init__(self, **explicit: Any) -> None:
        file: str | PathLike[str] | None = explicit.pop("_file", None)
        lent = borrowed(os.environ)
        layers: list[tuple[Origin, dict[str, Any]]] = [
            ("environment", {"hub": {name: value for name, (_, value) in lent.items()}}),
            ("file", from_file(file) if file is not None else {}),
            ("environment", from_environment(os.environ, field_tree())),
            ("argument", explicit),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for origin, layer in layers:
            merge(values, layer, origins, origin)
        try:
            super().__init__(**values)
        except ValidationError as error:
            sources = _sources(origins, file, {f"hub.{name}": variable for name, (variable, _) in lent.items()})
            raise refusal(error, type(self), sources, setting_names()) from None
        self._origins.update(origins)

    @classmethod
    def load(cls, file: str | PathLike[str] | None = None, **explicit: Any) -> Self:
        """The configuration with a TOML or YAML ``file`` below arguments and environment."""
        return cls(_file=file, **explicit)

    @field_validator("data_dir")
    @classmethod
    def _check_data_dir(cls, value: Path) -> Path:
        return checks.data_dir(value)

    @field_validator("models", mode="before")
    @classmethod
    def _read_models(cls, value: object) -> object:
        return checks.models(value)

    @field_validator("models")
    @classmethod
    def _freeze_models(cls, value: dict[str, ModelEntry]) -> dict[str, ModelEntry]:
        return FrozenDict(value)

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        for name, entry in self.models.items():
            check_together(tuned(self.engine, entry), f"models.{name}")
        return self

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _read_origins(cls, value: object) -> object:
        return checks.origins(value)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str | None) -> str | None:
        return value if value is None else checks.database_url(value)

    @field_validator("bind_address")
    @classmethod
    def _check_bind_address(cls, value: str) -> str:
        checks.bind_address(value)
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        return value if value is None else checks.public_url(value)

    @property
    def resolved_database_url(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'bodhi.db'}"

    @property
    def host_and_port(self) -> tuple[str, int]:
        """``bind_address`` in its two parts."""
        return checks.bind_address(self.bind_address)

    def origin(self, name: str) -> Origin:
        """Where the value of ``name`` came from; nested settings are written with a dot. Raises KeyError."""
        if name not in setting_names():
            raise KeyError(name)
        return self._origins.get(name, "default")

    def rows(self) -> list[SettingRow]:
        """Every setting with its value, origin, default and description, secrets removed."""
        return list(_rows(self, type(self), "", PREFIX, self._origins))

    def __repr_args__(self) -> Iterable[tuple[str, str]]:
        # What pydantic hands to rich and other printers: like the repr, without secrets.
        return [(row.name, row.value) for row in self.rows() if row.origin != "default"]

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value}" for name, value in self.__repr_args__())
        return f"{type(self).__name__}({changed})"

    __str__ = __repr__


def field_tree(model: type[BaseModel] = BodhiServerConfig) -> Mapping[str, Any]:
    """The names of all settings: None for a value, a mapping for a section."""
    sections = {name: _section(field.annotation) for name, field in model.model_fields.items()}
    return {name: None if section is None else field_tree(section) for name, section in sections.items()}


def setting_names() -> list[str]:
    """The dotted name of every setting."""
    return [variable.removeprefix(PREFIX).replace(DELIMITER, ".").lower() for variable in variables(field_tree())]


def merge(
    values: dict[str, Any], layer: Mapping[str, Any], origins: dict[str, Origin], origin: Origin, path: str = ""
) -> None:
    """Lay ``layer`` over ``values``, section by section, and note the origin of each value."""
    for name, value in layer.items():
        dotted = f"{path}{name}"
        field = BodhiServerConfig.model_fields.get(name) if not path else None
        if not isinstance(name, str):
            raise unknown(f"{path}{name!r}", setting_names())
        if field is not None and _section(field.annotation) and isinstance(value, Mapping | Section):
            inner = value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
            below = values.setdefault(name, {})
            if not isinstance(below, dict):  # a weaker source has something else than a table here
                raise wrong_value(name, below, "a table of settings is accepted", f"in the {origins[name]}")
            merge(below, inner, origins, origin, f"{dotted}.")
        else:
            values[name] = value
            origins[dotted] = origin


def _sources(
    origins: Mapping[str, Origin], file: str | PathLike[str] | None, lent: Mapping[str, str]
) -> dict[str, str]:
    """In words, where each value came from, for whoever has to mend it; ``lent`` are variables of huggingface_hub."""
    told: dict[str, str] = {}
    for name, origin in origins.items():
        if origin == "environment":
            own = f"{PREFIX}{name.upper().replace('.', DELIMITER)}"
            told[name] = f"in the environment as {lent[name] if name in lent and own not in os.environ else own}"
        elif origin == "file":
            told[name] = f"in the file '{file}'"
    return told


def _section(annotation: Any) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _rows(
    values: BaseModel, model: type[BaseModel], path: str, env: str, origins: Mapping[str, Origin]
) -> list[SettingRow]:
    rows: list[SettingRow] = []
    for name, field in model.model_fields.items():
        dotted, variable = f"{path}{name}", f"{env}{name.upper()}"
        section = _section(field.annotation)
        if section is not None:
            rows += _rows(getattr(values, name), section, f"{dotted}.", f"{variable}{DELIMITER}", origins)
            continue
        rows.append(
            SettingRow(
                name=dotted,
                value=checks.shown(getattr(values, name)),
                origin=origins.get(dotted, "default"),
                default=checks.shown(field.get_default(call_default_factory=True)),
                description=field.description or "",
                env=variable,
            )
        )
    return rows
