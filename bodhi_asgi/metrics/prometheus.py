"""The Prometheus text of a server's meters, through prometheus_client and a registry of its own.

Format: Prometheus text exposition 0.0.4. The client's default registry belongs to the host and is never touched.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.metrics.kinds import Counter, Gauge
from bodhi_asgi.metrics.meters import Meters

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def render(meters: Meters) -> bytes:
    """All meters as text. Raises MissingDependency without the extra ``metrics``."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise MissingDependency("the metrics page", "metrics") from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(meters))
    return generate_latest(registry)


class _Collector:
    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for meter in self._meters.all():
            if isinstance(meter, Counter):
                counter = CounterMetricFamily(meter.name, meter.help, labels=meter.labels)
                for labels, value in meter.series():
                    counter.add_metric(labels, value)
                yield counter
            elif isinstance(meter, Gauge):
                gauge = GaugeMetricFamily(meter.name, meter.help, labels=meter.labels)
                for labels, value in meter.series():
                    gauge.add_metric(labels, value)
                yield gauge
            else:
                histogram = HistogramMetricFamily(meter.name, meter.help, labels=meter.labels)
                for labels, (counts, total) in meter.series():
                    bounds = [*(str(bound) for bound in meter.bounds), "+Inf"]
                    buckets = list(zip(bounds, map(float, accumulate(counts)), strict=True))
                    histogram.add_metric(labels, buckets, total)
                yield histogram
