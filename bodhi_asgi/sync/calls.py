"""What the synchronous verbs have beside the twins: a way to whatever else is asynchronous, and the form of results."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from bodhi_asgi.facade import Bodhi
from bodhi_asgi.streams import ChunkStream
from bodhi_asgi.sync.stream import SyncStream
from bodhi_asgi.sync.twin import Twin

T = TypeVar("T")


class Calls(Twin[Bodhi]):
    """Bound to one caller, as the verbs it stands on."""

    def run(self, use: Callable[[Bodhi], Awaitable[T]]) -> T:
        """Await whatever ``use`` makes of the asynchronous verbs: ``bodhi.run(lambda verbs: agent.run(verbs, "…"))``.

        It runs on the loop in the background, for which it should not compute for long.
        """
        return self._wait(use, self._of)

    def iterate(self, use: Callable[[Bodhi], AsyncIterator[T]]) -> SyncStream[T]:
        """Read whatever ``use`` makes of the asynchronous verbs, one by one, as the events of an agent's run."""
        return SyncStream(use(self._of))

    def _wait_for_any(self, verb: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """For a verb that may stream: then what it answers can be iterated here."""
        answer = self._wait(verb, *args, **kwargs)
        return SyncStream(answer) if isinstance(answer, ChunkStream) else answer
