"""Counters, gauges and histograms that cost a dictionary look-up, whether or not anything reads them."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES: Final = 10_000
"""Label sets kept by one meter; what comes later is counted under the label ``other``."""

Labels = tuple[str, ...]


class Meter:
    """A named measurement with fixed label names."""

    kind = "untyped"

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:  # noqa: A002
        self.name = name
        self.help = help
        self.labels = labels

    def key(self, given: dict[str, str], known: dict[Labels, object]) -> Labels:
        """The label values in declared order. Raises KeyError for a label that is missing."""
        key = tuple([given[label] for label in self.labels])
        if key not in known and len(known) >= MAX_SERIES:
            return ("other",) * len(self.labels)
        return key


class Counter(Meter):
    """A sum that only grows."""

    kind = "counter"

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:  # noqa: A002
        super().__init__(name, help, labels)
        self._values: dict[Labels, float] = {}

    def inc(self, amount: float = 1, /, **labels: str) -> None:
        """Count ``amount`` more. Raises ValueError when it is negative."""
        if amount < 0:
            raise ValueError(f"{self.name} only grows: {amount}")
        key = self.key(labels, self._values)  # type: ignore[arg-type]
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, **labels: str) -> float:
        """What has been counted under these labels."""
        return self._values.get(tuple(labels[label] for label in self.labels), 0)

    def series(self) -> Iterator[tuple[Labels, float]]:
        """Label values and the value."""
        yield from tuple(self._values.items())


class Gauge(Meter):
    """A value that goes up and down."""

    kind = "gauge"

    def __init__(self, name: str, help: str, labels: tuple[str, ...] = ()) -> None:  # noqa: A002
        super().__init__(name, help, labels)
        self._values: dict[Labels, float] = {}

    def set(self, value: float, /, **labels: str) -> None:
        """The value as it is now."""
        self._values[self.key(labels, self._values)] = value  # type: ignore[arg-type]

    def clear(self) -> None:
        """Forget every value: what is measured anew each time may have fewer labels than the last time."""
        self._values.clear()

    def series(self) -> Iterator[tuple[Labels, float]]:
        """Label values and the value."""
        yield from tuple(self._values.items())


class Histogram(Meter):
    """How observations spread over fixed bounds, in seconds unless the name says otherwise."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002
        labels: tuple[str, ...] = (),
        bounds: tuple[float, ...] = SECONDS,
    ) -> None:
        super().__init__(name, help, labels)
        self.bounds = bounds
        self._values: dict[Labels, tuple[list[int], float]] = {}

    def observe(self, value: float, /, **labels: str) -> None:
        """Take one observation."""
        key = self.key(labels, self._values)  # type: ignore[arg-type]
        counts, total = self._values.get(key) or ([0] * (len(self.bounds) + 1), 0.0)
        counts[bisect_left(self.bounds, value)] += 1
        self._values[key] = (counts, total + value)

    def count(self, **labels: str) -> int:
        """How many observations were taken under these labels."""
        counts, _ = self._values.get(tuple(labels[label] for label in self.labels), ([], 0.0))
        return sum(counts)

    def series(self) -> Iterator[tuple[Labels, tuple[list[int], float]]]:
        """Label values, the count per bound (not cumulated; the last is beyond all), and the sum."""
        yield from ((key, (list(counts), total)) for key, (counts, total) in tuple(self._values.items()))
