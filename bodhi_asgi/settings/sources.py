"""Where values come from: the environment, and a file named explicitly. Reads, and refuses what it does not know."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import ConfigurationInvalid, MissingDependency
from bodhi_asgi.settings.checks import first_repeated
from bodhi_asgi.settings.refusal import nearest

PREFIX: Final = "BODHI_"
DELIMITER: Final = "__"
FILE_BYTES: Final = 1024 * 1024

_BUILD: Final = "what the build of llama-cpp-python decides"
FOREIGN: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "BODHI_HOME": "BODHI_DATA_DIR",
        "BODHI_HOST": "BODHI_BIND_ADDRESS",
        "BODHI_PORT": "BODHI_BIND_ADDRESS",
        "BODHI_SCHEME": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_HOST": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_PORT": "BODHI_PUBLIC_URL",
        "BODHI_PUBLIC_SCHEME": "BODHI_PUBLIC_URL",
        "BODHI_CANONICAL_REDIRECT": "BODHI_PUBLIC_URL",
        "BODHI_APP_DB_URL": "BODHI_DATABASE_URL",
        "BODHI_SESSION_DB_URL": "BODHI_DATABASE_URL",
        "BODHI_KEEP_ALIVE_SECS": "BODHI_ENGINE__KEEP_ALIVE_S",
        "BODHI_LLAMACPP_ARGS": "the settings BODHI_ENGINE__…",
        "BODHI_EXEC_VARIANT": _BUILD,
        "BODHI_EXEC_VARIANTS": _BUILD,
        "BODHI_EXEC_TARGET": _BUILD,
        "BODHI_EXEC_NAME": _BUILD,
        "BODHI_EXEC_LOOKUP_PATH": _BUILD,
        "BODHI_LOGS": "your application's own logging",
        "BODHI_LOG_STDOUT": "your application's own logging",
        "BODHI_ENV_TYPE": None,
        "BODHI_APP_TYPE": None,
        "BODHI_VERSION": None,
        "BODHI_COMMIT_SHA": None,
        "BODHI_AUTH_URL": None,
        "BODHI_AUTH_REALM": None,
        "BODHI_DEPLOYMENT": None,
        "BODHI_REFERENCE_API_URL": None,
        "BODHI_ENCRYPTION_KEY": None,
        "BODHI_MULTITENANT_CLIENT_ID": None,
        "BODHI_MULTITENANT_CLIENT_SECRET": None,
        "BODHI_ON_RUNPOD": None,
        "BODHI_DEV_PROXY_UI": None,
        "BODHI_DEV_PROXY_UI_PORT": None,
        "BODHI_TEST_MODE": None,
    }
)
"""Names of BodhiApp, and what to use here instead. Taking them silently would surprise whoever runs both."""

ORCHESTRATED: Final = re.compile(r"BODHI_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
LINK: Final = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes and Docker links put into every container beside a service that is called ``bodhi``."""


def from_environment(environ: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values from ``BODHI_…`` variables as text, nested by a double underscore. An empty variable counts as absent.

    ``fields`` maps each setting to its sub-settings (a mapping) or to None. A name that is no setting is refused, in a
    mounted host too: a misspelt limit that is silently not in force is worse than a start that says why it fails. What
    an orchestrator writes by itself is passed over. Raises ConfigurationInvalid with the nearest name.
    """
    found: dict[str, Any] = {}
    known = sorted(variables(fields))
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text.strip() or _is_orchestrated(variable, text):
            continue
        if variable not in known:
            raise ConfigurationInvalid(_unknown_variable(variable, known), param=variable)
        *outer, last = variable.removeprefix(PREFIX).lower().split(DELIMITER)
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = text.strip()
    return found


def variables(fields: Mapping[str, Any], prefix: str = PREFIX) -> Iterable[str]:
    """The environment variable of every setting."""
    for name, inner in fields.items():
        if isinstance(inner, Mapping):
            yield from variables(inner, f"{prefix}{name.upper()}{DELIMITER}")
        else:
            yield f"{prefix}{name.upper()}"


def _is_orchestrated(variable: str, text: str) -> bool:
    return ORCHESTRATED.fullmatch(variable) is not None or (variable == "BODHI_PORT" and LINK.match(text) is not None)


def _unknown_variable(variable: str, known: list[str]) -> str:
    if variable in FOREIGN or variable.startswith("BODHI_LLAMACPP_ARGS_"):
        instead = FOREIGN.get(variable, FOREIGN["BODHI_LLAMACPP_ARGS"])
        advice = f"use {instead}" if instead else "unset it for this process"
        return f"the environment variable '{variable}' belongs to BodhiApp and means nothing here; {advice}"
    inner = [name for name in known if name.startswith(f"{variable}{DELIMITER}")]
    if inner:
        return f"the environment variable '{variable}' is a group of settings; use one of it, such as {inner[0]}"
    short = {name.removeprefix(PREFIX): name for name in known}
    near = nearest(variable.removeprefix(PREFIX), short, DELIMITER)
    hint = f"did you mean {short[near]}?" if near else "unset it, or see 'bodhi settings' for what there is"
    return f"the environment variable '{variable}' names no setting; {hint}"


def from_file(path: str | PathLike[str]) -> dict[str, Any]:
    """The values of a TOML or YAML file, chosen by its suffix. An empty file sets nothing.

    Raises ConfigurationInvalid naming the file and the reason.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise _refused(path, "is no path") from None
    if len(content) > FILE_BYTES:
        raise _refused(path, f"is larger than {FILE_BYTES} bytes")
    try:
        values = _decoded(path, content.decode())
    except UnicodeDecodeError:
        raise _refused(path, "is not UTF-8") from None
    except ValueError as error:
        raise _refused(path, f"cannot be understood: {error}") from None
    except RecursionError:
        raise _refused(path, "is nested too deeply") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise _refused(path, "is not a table of settings by name")
    return values


def _refused(path: Path, why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"the settings file {str(path)!r} {why}", param="config")


def _decoded(path: Path, text: str) -> Any:
    if path.suffix == ".toml":
        return tomllib.loads(text)
    if path.suffix in (".yaml", ".yml"):
        return _yaml(text)
    raise _refused(path, "ends in neither .toml nor .yaml")


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise MissingDependency("a settings file in YAML", "cli") from None

    class Loader(yaml.SafeLoader):
        """The safe loader, which otherwise lets the last of two equal keys win in silence."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            twice = first_repeated(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
            if twice is not None:
                raise ValueError(f"{twice!r} is given twice")
            return super().construct_mapping(node, deep)

    try:
        return Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
