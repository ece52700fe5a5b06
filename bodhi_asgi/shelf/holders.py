"""Who may say that a file must stay: what is loaded needs it, or something that was configured stands for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bodhi_asgi.caller import Caller
from bodhi_asgi.shelf.types import LocalFile


@dataclass(frozen=True, slots=True)
class Intent:
    """Who wants a file gone. ``without`` is the id of an alias that goes with it and so needs it no more.

    With ``force`` the caller's own aliases do not keep it; nothing takes a file from a model that is loaded, from the
    settings, or from somebody else.
    """

    caller: Caller
    force: bool = False
    without: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a file must stay, as the end of a sentence that begins with its name; ``aliases`` are those that need it."""

    reason: str
    aliases: tuple[str, ...] = ()


class Holder(Protocol):
    """Asked before a file is removed."""

    async def holds(self, file: LocalFile, intent: Intent) -> Hold | None:
        """Why the file must stay; None when it need not."""
        ...


async def hold_on(holders: Sequence[Holder], file: LocalFile, intent: Intent) -> Hold | None:
    """The first that one of them has."""
    for holder in holders:
        hold = await holder.holds(file, intent)
        if hold is not None:
            return hold
    return None
