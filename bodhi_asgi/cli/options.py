"""The options every command shares, accepted before and after the command's name."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bodhi_asgi.builder import BodhiServerBuilder
    from bodhi_asgi.server import BodhiServer
    from bodhi_asgi.settings.schema import BodhiServerConfig

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class Options:
    """What the shared options said."""

    config: Path | None = None
    data_dir: Path | None = None
    as_json: bool = False
    debug: bool = False

    def settings(self, **explicit: Any) -> "BodhiServerConfig":
        """The settings for this command: its own arguments, then the environment, then the file, then the defaults.

        Raises :class:`~bodhi_asgi.errors.ConfigurationInvalid`.
        """
        from bodhi_asgi.settings.schema import BodhiServerConfig

        return BodhiServerConfig.load(self.config, **self._given(explicit))

    def builder(self, **explicit: Any) -> "BodhiServerBuilder":
        """The same settings, for a server that listens."""
        from bodhi_asgi.builder import BodhiServerBuilder

        builder = BodhiServerBuilder().setting(**self._given(explicit))
        return builder if self.config is None else builder.config_file(self.config)

    @asynccontextmanager
    async def server(self, **explicit: Any) -> "AsyncIterator[BodhiServer]":
        """A started server on these settings, without HTTP. Downloads are left to others unless they are given."""
        from bodhi_asgi.server import BodhiServer

        async with BodhiServer(self.settings(**{"downloads": {"parallel": 0}, **explicit})) as server:
            yield server

    def _given(self, explicit: dict[str, Any]) -> dict[str, Any]:
        """Arguments without those that are ``None``: they were not given. A command's own data directory wins."""
        given = {name: value for name, value in explicit.items() if value is not None}
        return given if self.data_dir is None else {"data_dir": self.data_dir, **given}


def shared(command: Command) -> Command:
    """Add ``--config``, ``--data-dir`` and ``--debug``."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of an error.", **REMEMBERED),
        click.option(
            "--data-dir",
            type=click.Path(file_okay=False, path_type=Path),
            help="Where the database and other data live.",
            **REMEMBERED,
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A TOML or YAML file with settings.",
            **REMEMBERED,
        ),
    ):
        command = option(command)
    return command


def printing(command: Command) -> Command:
    """Add the shared options and ``--json``, for a command that prints data."""
    option = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors too.", **REMEMBERED)
    return option(shared(command))


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    options = context.ensure_object(Options)
    if value and parameter.name is not None:
        setattr(options, parameter.name, value)


REMEMBERED: dict[str, Any] = {"callback": _remember, "expose_value": False}
