"""The verbs on the model files of this machine."""

from bodhi_asgi.clock import Clock
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFilesChanged
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.types import MAIN, LocalFile, Look
from bodhi_asgi.shelf.watch import Watch


class ShelfService:
    """What lies in the Hugging Face cache and in plain folders, looked at again every ``watch_s`` seconds."""

    def __init__(self, *, scanner: Scanner, events: EventBus, clock: Clock, watch_s: float) -> None:
        self._events = events
        self._watch = Watch(scanner, clock=clock, every_s=watch_s, changed=self._changed)

    def start(self) -> None:
        """Begin to look; who asks before the first look is over waits for it."""
        self._watch.start()

    async def aclose(self) -> None:
        """Look no more. Idempotent."""
        await self._watch.aclose()

    async def files(self) -> tuple[LocalFile, ...]:
        """Every file as it was seen last, by repository, name and snapshot. For the house: no permission is asked."""
        return (await self._watch.last()).files

    async def look(self) -> tuple[LocalFile, ...]:
        """Every file as it is now, when somebody has just put or removed one. For the house."""
        return (await self._watch.look()).files

    async def find(self, repo: str, filename: str, snapshot: str = MAIN) -> LocalFile | None:
        """The file of this name. For the house.

        ``main`` is the snapshot that the cache knows as such; where that has no such file, the last by its hash.
        """
        named = [file for file in await self.files() if file.repo == repo and file.filename == filename]
        if snapshot != MAIN:
            return next((file for file in named if file.snapshot == snapshot), None)
        return max(named, key=lambda file: (file.is_current, file.snapshot), default=None)

    async def _changed(self, before: Look, after: Look) -> None:
        old = {(file.repo, file.filename, file.snapshot): file for file in before.files}
        new = {(file.repo, file.filename, file.snapshot): file for file in after.files}
        common = old.keys() & new.keys()
        self._events.publish(
            ModelFilesChanged(
                added=len(new) - len(common),
                changed=sum(old[key] != new[key] for key in common),
                removed=len(old) - len(common),
            )
        )
