"""What every synchronous twin stands on: the asynchronous object whose verbs it runs, and how it waits for them."""

from collections.abc import Awaitable, Callable
from typing import Generic, ParamSpec, TypeVar

from bodhi_asgi.sync.background import BACKGROUND

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


class Twin(Generic[A]):
    """Does what ``of`` does, and waits for it. May be used from several threads."""

    def __init__(self, of: A) -> None:
        self._of = of

    def _wait(self, verb: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return BACKGROUND.run(verb, *args, **kwargs)
