"""How a step of llama.cpp is stopped while it is computed, and how far it has come, without a word of Python.

llama.cpp asks a function before each node of its graph whether to give up: a hundred times in a step of a small model.
A function of ours would wait for the interpreter each time, which the thread that answers hosts may have just then. So
it asks the C library: a semaphore with a great many permits, of which each node takes one. How many are gone tells how
far the step has come, and where none are left it is given up.
"""

import ctypes
from typing import Any, Final, Protocol

import llama_cpp

PERMITS: Final = 2**31 - 1
"""``SEM_VALUE_MAX``; a step takes some millions of them at the very most."""

STEPS: Final = 64
"""After so many it is looked whether half of them are gone."""

SEMAPHORE: Final = ctypes.c_int64 * 16
"""More than a ``sem_t`` is anywhere."""


class Brake(Protocol):
    """Belongs to a runner; ``callback`` and ``data`` are what its contexts are opened with."""

    callback: Any
    data: int | None

    @property
    def progress(self) -> int:
        """Grows with each node. Read from any thread."""
        ...

    @property
    def is_pulled(self) -> bool:
        """Whether a step that is computed now is to be given up."""
        ...

    def advance(self, nodes: int) -> None:
        """So many nodes were computed that llama.cpp did not ask about."""
        ...

    def pull(self) -> None:
        """Give the step up that is being computed, or the next one. Called from any thread."""
        ...

    def release(self) -> None:
        """The step is over. Called between steps."""
        ...


class PermitBrake:
    """By a semaphore that nobody waits for. Raises OSError where there are none without a name, as on macOS."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._semaphore = SEMAPHORE()
        self._advanced = self._steps = 0
        self._left_at_pull = PERMITS
        self.is_pulled = False
        self.data: int | None = ctypes.addressof(self._semaphore)
        # What it returns, 0 or -1, is what llama.cpp takes for false and true.
        self.callback: Any = ctypes.cast(self._libc.sem_trywait, llama_cpp.ggml_abort_callback)
        self._fill(PERMITS)

    @property
    def progress(self) -> int:
        return self._advanced + PERMITS - self._left()

    def advance(self, nodes: int) -> None:
        self._advanced += nodes

    def pull(self) -> None:
        if not self.is_pulled:
            self._left_at_pull = self._left()
            self.is_pulled = True
        self._fill(0)

    def release(self) -> None:
        self._steps += 1
        if not self.is_pulled and self._steps % STEPS:
            return
        left = self._left()
        if self.is_pulled or left < PERMITS // 2:
            self.is_pulled = False
            self._advanced += PERMITS - left
            self._fill(PERMITS)

    def _left(self) -> int:
        if self.is_pulled:
            return self._left_at_pull
        left = ctypes.c_int()
        self._libc.sem_getvalue(self._semaphore, ctypes.byref(left))
        return left.value

    def _fill(self, permits: int) -> None:
        # Beside a node that takes one, this is a store of a number: it counts either before or after.
        if self._libc.sem_init(self._semaphore, 0, ctypes.c_uint(permits)):
            number = ctypes.get_errno()
            raise OSError(number, "there are no semaphores without a name here")


class CountingBrake:
    """By a function of ours, where there is nothing else."""

    def __init__(self) -> None:
        self.progress = 0
        self.is_pulled = False
        self.data: int | None = None
        self.callback: Any = llama_cpp.ggml_abort_callback(self._on_node)

    def advance(self, nodes: int) -> None:
        self.progress += nodes

    def pull(self) -> None:
        self.is_pulled = True

    def release(self) -> None:
        self.is_pulled = False

    def _on_node(self, _: Any) -> bool:
        self.progress += 1
        return self.is_pulled


def make_brake() -> Brake:
    """The best that there is on this machine."""
    try:
        return PermitBrake()
    except (OSError, AttributeError):
        return CountingBrake()
