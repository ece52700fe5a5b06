"""Who may say that a file must stay: what is loaded needs it, or something that was configured stands for it."""

from collections.abc import Sequence
from typing import Protocol

from bodhi_asgi.shelf.types import LocalFile


class Holder(Protocol):
    """Asked before a file is removed."""

    async def holds(self, file: LocalFile) -> str:
        """Why the file must stay, as the end of a sentence that begins with its name; empty when it need not."""
        ...


async def reason_to_stay(holders: Sequence[Holder], file: LocalFile) -> str:
    """The first reason that one of them gives."""
    for holder in holders:
        reason = await holder.holds(file)
        if reason:
            return reason
    return ""
