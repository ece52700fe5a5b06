"""Which adapters apply to a request, and whose turn it is when sequences with different ones run side by side.

llama.cpp applies adapters to a whole batch. So the sequences of a step all have the same set, and sets take turns.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bodhi_asgi.engine.errors import AdapterUnknown
from bodhi_asgi.engine.plan import AdapterSet
from bodhi_asgi.engine.types import AdapterSpec
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.generation import AdapterChoice

NO_ADAPTERS: Final[AdapterSet] = ()


def adapter_set(known: Sequence[AdapterSpec], chosen: Sequence[AdapterChoice] | None) -> AdapterSet:
    """The adapters in force for a request: those it names, or the model's own when it says nothing.

    Equal choices in another order are the same set. Raises AdapterUnknown, and Invalid for a name given twice.
    """
    if chosen is None:
        return tuple((index, one.scale) for index, one in enumerate(known) if one.scale)
    index_of = {one.name: index for index, one in enumerate(known)}
    scales: dict[int, float] = {}
    for place, choice in enumerate(chosen):
        param = f"lora.{place}.name"
        index = index_of.get(choice.name)
        if index is None:
            has = f"it has {', '.join(map(repr, index_of))}" if index_of else "it has none"
            raise AdapterUnknown(f"the model has no adapter {choice.name[:128]!r}; {has}", param=param)
        if index in scales:
            raise Invalid(f"the adapter {choice.name!r} is named twice", param=param)
        # An adapter that the settings keep at 0 is there to be asked for.
        scales[index] = (known[index].scale or 1.0) if choice.scale is None else choice.scale
    return tuple((index, scale) for index, scale in sorted(scales.items()) if scale)


class Turns:
    """Adapter sets in the order of their turns: whoever was not served longest is first."""

    def __init__(self) -> None:
        self._served: dict[AdapterSet, None] = {}

    def order(self, waiting: Iterable[AdapterSet]) -> list[AdapterSet]:
        """The sets that wait, longest unserved first; new ones before all, in the order in which they come."""
        wanted = list(dict.fromkeys(waiting))
        self._served = {one: None for one in self._served if one in wanted}
        new = [one for one in wanted if one not in self._served]
        return new + list(self._served)

    def served(self, one: AdapterSet) -> None:
        """It had its step."""
        self._served.pop(one, None)
        self._served[one] = None
