"""Joins the looking, the table and the reading: what is seen is kept, and what is kept and not yet read is read."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace

from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Unavailable
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFilesChanged, ModelFilesDescribed
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.facts import Capable
from bodhi_asgi.shelf.reader import Reader
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.types import LocalFile, Look, Place
from bodhi_asgi.shelf.watch import Watch


class Shelf:
    """The files of these places. ``changed`` is called whenever something that could be asked for has changed."""

    def __init__(
        self,
        places: Sequence[Place],
        *,
        database: Database,
        events: EventBus,
        clock: Clock,
        watch_s: float,
        capable: Capable,
        changed: Callable[[], None],
    ) -> None:
        self.id = shelf_id(places)
        self._database = database
        self._events = events
        self._clock = clock
        self._changed = changed
        self._troubles: dict[str, str] = {}
        self._look = Look()
        self._files: tuple[LocalFile, ...] = ()
        self._watch = Watch(
            Scanner(places, clock), clock=clock, every_s=watch_s, noticed=self._noticed, keep=self._keep
        )
        self.reader = Reader(database=database, shelf=self.id, capable=capable, read=self._described)

    def start(self) -> None:
        """Begin to look and to read."""
        self.reader.start()
        self._watch.start()

    async def aclose(self) -> None:
        """Look and read no more. Idempotent."""
        await self._watch.aclose()
        await self.reader.aclose()

    async def files(self) -> tuple[LocalFile, ...]:
        """Every file as it was seen last, by repository, name and snapshot; the same tuple until something changes."""
        return self._merged(await self._watch.last())

    async def look(self) -> tuple[LocalFile, ...]:
        """Every file as it is now."""
        return self._merged(await self._watch.look())

    async def kept(self) -> None:
        """Wait until the table says what was seen last, or cannot be reached."""
        await self._watch.kept()

    def key(self, file: LocalFile) -> str:
        """What the table knows a file by."""
        return store.key_of(self.id, file)

    def is_readable(self, file: LocalFile) -> bool:
        """Whether a header may be read: not of what a look from outside has refused, as a link that leads out."""
        return file.problem == self._troubles.get(self.key(file), "")

    def _merged(self, look: Look) -> tuple[LocalFile, ...]:
        """The files of a look, with what is wrong by their headers."""
        if look is not self._look:
            self._look = look
            self._files = look.files if not self._troubles else tuple(map(self._with_trouble, look.files))
        return self._files

    def _with_trouble(self, file: LocalFile) -> LocalFile:
        trouble = "" if file.problem else self._troubles.get(self.key(file), "")
        return replace(file, problem=trouble) if trouble else file

    def _noticed(self, before: Look, after: Look) -> None:
        old = {(file.repo, file.filename, file.snapshot): file for file in before.files}
        new = {(file.repo, file.filename, file.snapshot): file for file in after.files}
        common = old.keys() & new.keys()
        changed = sum(old[key] != new[key] for key in common)
        self._events.publish(ModelFilesChanged(len(new) - len(common), changed, len(old) - len(common)))

    async def _keep(self, look: Look) -> bool:
        try:
            async with self._database.reading() as tx:
                is_kept = await store.is_kept(tx, self.id, look.files)
            if not is_kept:
                async with self._database.transaction() as tx:
                    await store.keep(tx, self.id, look.files, self._clock.now())
            await self._learn_troubles()
        except Unavailable:
            return False  # the server says so itself; the next look tries again
        self._changed()
        self.reader.wake()
        return True

    async def _described(self, count: int) -> None:
        await self._learn_troubles()
        self._changed()
        if count:
            self._events.publish(ModelFilesDescribed(count))

    async def _learn_troubles(self) -> None:
        async with self._database.reading() as tx:
            troubles = await store.troubles(tx, self.id)
        if troubles != self._troubles:
            self._troubles = troubles
            self._look = Look()  # merged anew when it is asked for


def shelf_id(places: Sequence[Place]) -> str:
    """The same for every process of this machine that looks at these places."""
    text = "\0".join((platform.node(), *(f"{place.name}\0{place.path.absolute()}" for place in places)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
