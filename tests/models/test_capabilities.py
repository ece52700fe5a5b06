"""What a model can be asked for is told from its header, with the projector beside it."""

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.facts import GgufFacts, Pooling, facts_of
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.models.capabilities import Capabilities, capabilities_of

HERMES = "{% for tool in tools %}<tool_call>{% endfor %}"
THINKER = HERMES + "<think></think>"
PLAIN = "{% for message in messages %}{{ message.content }}{% endfor %}"
MODEL = GgufFacts(kind="model", architecture="llama")


def model(template: str = "", **more: object) -> GgufFacts:
    return GgufFacts(kind="model", architecture="llama", chat_template=template, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (model(), "completion"),
        (model(PLAIN), "completion"),
        (model(HERMES), "completion tools"),
        (model(THINKER), "completion tools thinking"),
        (model("<think></think>"), "completion thinking"),
        (model(PLAIN, templates=(("tool_use", HERMES),)), "completion tools"),
        (model(PLAIN, fills_gaps=True), "completion infill"),
        (model(HERMES, is_causal=False), ""),
        (GgufFacts(kind="projector", architecture="clip", reads_images=True), ""),
        (GgufFacts(kind="adapter", architecture="llama"), ""),
    ],
)
def test_a_model_can_do_what_its_template_shows(facts: GgufFacts, expected: str) -> None:
    assert " ".join(capabilities_of(facts).names) == expected


@pytest.mark.parametrize(
    ("pooling", "expected"), [("mean", "embedding"), ("cls", "embedding"), ("last", "embedding"), ("rank", "rerank")]
)
@pytest.mark.parametrize("is_causal", [True, False])
def test_a_model_that_pools_does_not_write(pooling: Pooling, expected: str, is_causal: bool) -> None:
    facts = model(THINKER, pooling=pooling, is_causal=is_causal)
    assert capabilities_of(facts).names == (expected,)


def test_a_projector_lends_the_senses_that_it_has() -> None:
    eyes = GgufFacts(kind="projector", architecture="clip", reads_images=True)
    ears = GgufFacts(kind="projector", architecture="clip", reads_sound=True)
    assert capabilities_of(MODEL, eyes) == Capabilities(completion=True, vision=True)
    assert capabilities_of(MODEL, ears) == Capabilities(completion=True, audio=True)


def test_the_demo_model_writes_and_calls_tools() -> None:
    assert capabilities_of(facts_of(read_header(DEMO_MODEL_PATH))).names[:2] == ("completion", "tools")
