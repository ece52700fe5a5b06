"""Meters count without any library, and say what they counted as Prometheus reads it."""

import math
import re
import sys

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.metrics.kinds import MAX_SERIES, SECONDS, Counter, Gauge, Histogram
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.metrics.prometheus import CONTENT_TYPE, render


def read(meters: Meters) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(render(meters).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_names_follow_prometheus() -> None:
    meters = Meters().all()
    assert len({meter.name for meter in meters}) == len(meters)
    for meter in meters:
        assert re.fullmatch(r"bodhi_[a-z]+(_[a-z]+)*", meter.name)
        assert meter.name.endswith("_total") == isinstance(meter, Counter)
        assert not isinstance(meter, Histogram) or meter.name.endswith("_seconds")
        assert meter.help.endswith(".")
        assert all(re.fullmatch("[a-z]+", label) and label != "le" for label in meter.labels)


def test_what_was_counted_is_what_is_read() -> None:
    meters = Meters()
    meters.requests.inc(1, route="chat", status="200")
    meters.requests.inc(2, route="chat", status="200")
    meters.requests.inc(1, route="chat", status="429")
    meters.engine_running.set(3, model="demo")
    meters.engine_running.set(1, model="demo")
    for seconds in (0.005, 0.006, 7.0, 1000.0):
        meters.first_token_s.observe(seconds, model="demo")
    assert meters.requests.value(route="chat", status="200") == 3
    assert meters.requests.value(route="none", status="200") == 0
    assert meters.first_token_s.count(model="demo") == 4
    assert meters.first_token_s.count(model="none") == 0

    values = read(meters)
    demo = frozenset({("model", "demo")})
    assert values["bodhi_http_requests_total", frozenset({("route", "chat"), ("status", "200")})] == 3
    assert values["bodhi_http_requests_total", frozenset({("route", "chat"), ("status", "429")})] == 1
    assert values["bodhi_engine_running", demo] == 1
    assert values["bodhi_time_to_first_token_seconds_count", demo] == 4
    assert math.isclose(values["bodhi_time_to_first_token_seconds_sum", demo], 1007.011)
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in values.items()
        if name == "bodhi_time_to_first_token_seconds_bucket"
    }
    assert sorted(buckets) == [*SECONDS, math.inf]
    assert (buckets[0.005], buckets[0.01], buckets[5.0], buckets[10.0], buckets[60.0], buckets[math.inf]) == (
        1,
        2,
        2,
        3,
        3,
        4,
    )


def test_every_meter_is_described_before_anything_is_counted() -> None:
    text = render(Meters()).decode()
    for meter in Meters().all():
        assert f"# HELP {meter.name} {meter.help}\n# TYPE {meter.name} {meter.kind}\n" in text


def test_any_text_can_be_a_label() -> None:
    meters = Meters()
    nasty = 'a"b\\c\nd{e="f"} # 😀'
    meters.prompt_tokens.inc(5, model=nasty)
    assert read(meters)["bodhi_prompt_tokens_total", frozenset({("model", nasty)})] == 5


def test_each_server_counts_for_itself_and_the_hosts_registry_is_left_alone() -> None:
    before = generate_latest(REGISTRY).count(b"\n")
    first, second = Meters(), Meters()
    first.prompt_tokens.inc(5, model="demo")
    assert b'model="demo"' in render(first)
    assert b'model="demo"' not in render(second)
    assert generate_latest(REGISTRY).count(b"\n") == before
    assert b"bodhi" not in generate_latest(REGISTRY)


def test_it_is_the_text_format_of_version_0_0_4() -> None:
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    text = render(Meters())
    assert text.endswith(b"\n")
    assert b"# EOF" not in text
    assert b"_created" not in text


def test_labels_without_end_cost_memory_with_an_end() -> None:
    counter = Counter("bodhi_x_total", "X.", ("model",))
    for number in range(MAX_SERIES + 50):
        counter.inc(1, model=str(number))
    counter.inc(1, model="0")
    assert counter.value(model="0") == 2
    assert counter.value(model="other") == 50
    assert len(list(counter.series())) == MAX_SERIES + 1


@pytest.mark.parametrize(
    "meter", [Counter("c", "C.", ("model",)), Gauge("g", "G.", ("model",)), Histogram("h", "H.", ("model",))]
)
def test_a_missing_label_is_our_own_fault(meter: Counter | Gauge | Histogram) -> None:
    with pytest.raises(KeyError, match="model"):
        {Counter: Counter.inc, Gauge: Gauge.set, Histogram: Histogram.observe}[type(meter)](meter, 1)  # type: ignore[operator]


def test_a_counter_only_grows() -> None:
    with pytest.raises(ValueError, match="only grows"):
        Counter("bodhi_x_total", "X.").inc(-1)


def test_counting_needs_no_library_and_rendering_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    meters = Meters()
    meters.prompt_tokens.inc(5, model="demo")
    assert meters.prompt_tokens.value(model="demo") == 5
    with pytest.raises(MissingDependency, match=r"bodhi-asgi\[metrics\]"):
        render(meters)
