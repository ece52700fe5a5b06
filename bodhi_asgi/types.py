"""Small values that every floor shares: JSON, secrets, the unset marker, a page of results.

Standard library only. Anything that knows a domain word belongs on a higher floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar, final

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = dict[str, JSON]

INT64_MAX: Final = 2**63 - 1
"""The largest integer accepted anywhere: what SQLite, PostgreSQL and JSON clients can all hold."""

T = TypeVar("T")


@final
class Secret:
    """A string that must not be shown: it prints as ``Secret(***)`` and is read with :meth:`reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself. Call it where the value leaves for its one purpose, nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __bool__(self) -> bool:
        return bool(self._value)


@final
class Unset:
    """The type of :data:`UNSET`, which says "not given" where ``None`` has a meaning of its own."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a longer list: ``total`` counts all items, ``page`` starts at 1."""

    data: Sequence[T]
    total: int
    page: int
    page_size: int
