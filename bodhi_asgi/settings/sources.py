"""Where values come from: arguments, environment, a file named explicitly. Reads, and refuses what it does not know."""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import ConfigurationInvalid, MissingDependency

PREFIX: Final = "BODHI_"
DELIMITER: Final = "__"
FILE_BYTES: Final = 1024 * 1024

FOREIGN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BODHI_HOME": "BODHI_DATA_DIR",
        "BODHI_HOST": "BODHI_BIND_ADDRESS",
        "BODHI_PORT": "BODHI_BIND_ADDRESS",
        "BODHI_SCHEME": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_HOST": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_PORT": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_SCHEME": "BODHI_PUBLIC_URL",
        "BODHI_APP_DB_URL": "BODHI_DATABASE_URL",
        "BODHI_KEEP_ALIVE_SECS": "BODHI_ENGINE__LINGER_S",
        "BODHI_EXEC_VARIANT": "the build of llama-cpp-python",
        "BODHI_EXEC_LOOKUP_PATH": "the build of llama-cpp-python",
        "BODHI_LLAMACPP_ARGS": "the settings of 'engine'",
    }
)
"""Names that BodhiApp gives another meaning; taking them silently would surprise whoever runs both."""


def from_environment(environ: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values from ``BODHI_…`` variables, nested by a double underscore. An empty variable counts as absent.

    ``fields`` maps each setting to its sub-settings (a mapping) or to None. Raises ConfigurationInvalid for a name that
    is no setting, with the nearest one.
    """
    found: dict[str, Any] = {}
    known = sorted(variables(fields))
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG" or not text.strip():
            continue
        if variable not in known:
            raise ConfigurationInvalid(_unknown_variable(variable, known), param=variable)
        *outer, last = variable.removeprefix(PREFIX).lower().split(DELIMITER)
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = parse(text)
    return found


def variables(fields: Mapping[str, Any], prefix: str = PREFIX) -> Iterable[str]:
    """The environment variable of every setting."""
    for name, inner in fields.items():
        if isinstance(inner, Mapping):
            yield from variables(inner, f"{prefix}{name.upper()}{DELIMITER}")
        else:
            yield f"{prefix}{name.upper()}"


def parse(text: str) -> Any:
    """A variable as a value: JSON where it is an object or list, else the text, read by the field's type."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def from_file(path: Path) -> dict[str, Any]:
    """The values of a TOML or YAML file, chosen by its suffix.

    Raises ConfigurationInvalid naming the file and the reason.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    if len(content) > FILE_BYTES:
        raise _refused(path, f"is larger than {FILE_BYTES} bytes")
    try:
        values = _decoded(path, content.decode())
    except ValueError as error:
        raise _refused(path, f"cannot be understood: {error}") from None
    if not isinstance(values, dict):
        raise _refused(path, "is not a table of settings")
    return values


def _refused(path: Path, why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"the settings file '{path}' {why}", param="config")


def _decoded(path: Path, text: str) -> Any:
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError:
            raise MissingDependency("a settings file in YAML", "cli") from None
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(str(error).replace("\n", " ")) from None
    raise _refused(path, "ends in neither .toml nor .yaml")


def _unknown_variable(variable: str, known: list[str]) -> str:
    foreign = FOREIGN.get(variable)
    if foreign is not None:
        return f"the environment variable '{variable}' belongs to BodhiApp and means nothing here; use {foreign}"
    near = difflib.get_close_matches(variable, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"the environment variable '{variable}' names no setting{hint}"
