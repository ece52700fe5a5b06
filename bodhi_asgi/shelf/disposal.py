"""The verb that removes a model file: when nobody needs it, from the cache only, and not unseen."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import ModelForbidden, Scope
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFileRemoved
from bodhi_asgi.shelf.errors import ModelFileInUse, ModelFileNotOurs, ModelFileNotRemovable
from bodhi_asgi.shelf.holders import Holder, Intent, hold_on
from bodhi_asgi.shelf.names import chosen, names_of, not_found
from bodhi_asgi.shelf.removal import remove
from bodhi_asgi.shelf.shelf import Shelf
from bodhi_asgi.shelf.types import MAIN, LocalFile, Removed
from bodhi_asgi.types import JSONObject


@dataclass(eq=False)
class Disposal:
    """Removes files. ``holders`` are asked first; others may be added."""

    cache: Path
    shelf: Shelf
    database: Database
    audit: AuditService
    events: EventBus
    holders: list[Holder] = field(default_factory=list)

    async def delete(self, intent: Intent, repo: str, filename: str, snapshot: str = MAIN) -> Removed:
        """Remove a file of the cache, and the projector beside it when no other model there needs it.

        Needs ``models:write`` and a grant on the model. Raises ModelFileNotFound, ModelForbidden, ModelFileInUse
        naming the aliases that need it, ModelFileNotOurs for a file of a plain folder, and ModelFileNotRemovable.
        """
        caller = intent.caller
        if Scope.MODELS_WRITE not in caller.scopes:
            await self.audit.refused(caller, "model_file.delete")
        caller.require(Scope.MODELS_WRITE)
        files = await self.shelf.look()
        file = chosen(files, repo, filename, snapshot)
        names: Sequence[str] = () if file is None else names_of(file)
        if file is None or not any(map(caller.may_list, names)):
            raise not_found(repo, filename)
        if not any(map(caller.may_use, names)):
            raise ModelForbidden(f"the caller has no grant on the model '{names[0]}'", param="filename", model=names[0])
        removed = await self.dispose(intent, file, "model_file.delete")
        projector = _orphan(files, file)
        if projector is not None and await hold_on(self.holders, projector, intent) is None:
            also = await self.dispose(intent, projector, "model_file.delete")
            removed = Removed(removed.files + also.files, removed.freed_bytes + also.freed_bytes)
        await self.shelf.look()
        return removed

    async def dispose(self, intent: Intent, file: LocalFile, action: str) -> Removed:
        """Remove this file, if it may be. Permissions have been asked for."""
        if not file.in_cache:
            raise ModelFileNotOurs(
                f"'{file.filename[:200]}' lies in a folder of yours, and nothing is removed there; remove it by hand"
            )
        hold = await hold_on(self.holders, file, intent)
        if hold is not None:
            told = f"'{file.filename[:200]}' {hold.reason}"
            if not hold.aliases:
                raise ModelFileInUse(told, param="filename")
            raise ModelFileInUse(told, param="filename", aliases=", ".join(hold.aliases))
        async with self.database.transaction() as tx:
            # Before it happens, so that nothing is removed unseen.
            detail: JSONObject = {"snapshot": file.snapshot, "size_bytes": file.size_bytes, "force": intent.force}
            subject = f"{file.repo}/{file.filename}"
            await self.audit.record(tx, intent.caller, action, subject=subject, detail=detail)
        try:
            removed = await asyncio.to_thread(remove, self.cache, file)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ModelFileNotRemovable(f"'{file.filename[:200]}' cannot be removed ({reason})") from error
        self.events.publish(ModelFileRemoved(file.repo, file.filename, file.snapshot))
        return removed


def _orphan(files: Sequence[LocalFile], removed: LocalFile) -> LocalFile | None:
    """The projector that only the removed model needed."""
    beside = [one for one in files if (one.repo, one.snapshot) == (removed.repo, removed.snapshot) and one != removed]
    if not removed.projector or any(one.projector == removed.projector for one in beside):
        return None
    return next((one for one in beside if one.filename == removed.projector), None)
