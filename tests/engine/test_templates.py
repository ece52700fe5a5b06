"""Chat templates: what they may do, what is refused with the reason, and whose text may sound like a control token."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.errors import PromptInvalid
from bodhi_asgi.engine.templates import (
    CHATML,
    MAX_OUTPUT_CHARS,
    MAX_OUTPUT_PIECES,
    MAX_REASON_CHARS,
    MAX_TEMPLATE_CHARS,
    ChatTemplate,
    Fence,
)
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role

CONTROLS = ("<|im_start|>", "<|im_end|>", "<|im", "<s>")
ASKED = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hello"))
OPEN, CLOSE = Fence.OPEN, Fence.CLOSE


def render(source: str | None, *messages: Message, controls: tuple[str, ...] = ()) -> str:
    template = ChatTemplate(source, bos_token="<s>", eos_token="</s>")
    return template.render(ChatPrompt(messages or ASKED), Fence(controls))


def refusal(source: str) -> str:
    """Why the template's prompt is refused; every refusal names the messages."""
    with pytest.raises(PromptInvalid) as refused:
        render(source)
    assert refused.value.status == 400
    return refused.value.message


def test_a_model_without_a_template_is_given_chatml() -> None:
    assert render(None) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ChatTemplate(None, bos_token="", eos_token="").source == CHATML


def test_a_template_is_compiled_once() -> None:
    template = ChatTemplate("{{ messages | length }}", bos_token="", eos_token="")
    assert template.render(ChatPrompt(ASKED), Fence(())) == "2"
    compiled = template._compiled()
    assert template.render(ChatPrompt(ASKED[:1]), Fence(())) == "1"
    assert template._compiled() is compiled


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "<s>Be brief.</s>"),
        ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}", "user"),
        ("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}", "system"),
        ("{% generation %}{{ messages[1]['content'] }}{% endgeneration %}!", "Hello!"),
        ("{{ {'b': 'é<', 'a': [1, none]} | tojson }}", '{"b": "é<", "a": [1, null]}'),
        ("{{ {'b': 'é', 'a': 1} | tojson(ensure_ascii=true, indent=1, sort_keys=true) }}", None),
        ("{{ [1, 2] | tojson(separators=(',', ':')) }}", "[1,2]"),
        ("{{ 'a' if add_generation_prompt }}\n{%- if tools is defined %}tools{% endif %}", "a"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        ("{{ messages[1].name is defined }}", "False"),
        ("", ""),
    ],
)
def test_a_template_has_what_hugging_face_gives_it(source: str, text: str | None) -> None:
    wanted = json.dumps({"a": 1, "b": "é"}, indent=1) if text is None else text
    assert render(source) == wanted


def test_a_speakers_name_reaches_the_template() -> None:
    assert render("{{ messages[0].name }}", Message(Role.USER, "Hello", name="ada")) == "ada"
    assert OPEN in render("{{ messages[0].name }}", Message(Role.USER, "Hello", name="<s>"), controls=CONTROLS)


def test_the_date_is_that_of_the_place_and_its_pattern_is_bounded() -> None:
    before = datetime.now().astimezone().date()
    written = datetime.strptime(render("{{ strftime_now('%d %b %Y') }}"), "%d %b %Y").date()  # noqa: DTZ007
    assert before <= written <= datetime.now().astimezone().date()
    assert len(render("{{ strftime_now('x' * 5000) }}")) == 100


def test_a_template_that_refuses_is_quoted_in_one_short_line() -> None:
    reason = refusal("{{ raise_exception('Roles\n must   alternate') }}")
    assert reason == "the model's chat template refuses the messages: Roles must alternate"
    long = refusal("{{ raise_exception('word ' * 1000) }}")
    assert long.endswith("…")
    assert len(long) < MAX_REASON_CHARS + 100


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for %}", "Expected"),
        ("{{ nothing.at.all }}", "undefined"),
        ("{{ messages | no_such_filter }}", "no_such_filter"),
        ("{% include 'other' %}", "TypeError"),
        ("{{ messages[7].content }}", "no element 7"),
        ("{% generation %}never ended", "endgeneration"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'a' | dictsort }}", "AttributeError"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{{ int('x') }}", "undefined"),
        ("{{ '%d' % 'x' }}", "TypeError"),
        ("{{ messages | tojson(indent=1, nothing=2) }}", "TypeError"),
        ("{{ 2.0 ** 100000 }}", "OverflowError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ '{}'.format() }}", "IndexError"),
        ("{{ 'x'.encode('nothing') }}", "LookupError"),
        ("{{ ''.join([1]) }}", "TypeError"),
        ("{{ 'x'.index('y') }}", "ValueError"),
        ("{{ ('é' * 9).encode('ascii') }}", "UnicodeEncodeError"),
    ],
)
def test_a_template_that_fails_is_refused_with_what_went_wrong_in_it(source: str, reason: str) -> None:
    message = refusal(source)
    assert message.startswith("the model's chat template failed: ")
    assert reason in message


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ strftime_now.__code__.co_consts }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(source: str) -> None:
    message = refusal(source)
    assert re.search("unsafe|undefined|is not safely callable|Error", message), message


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception.__globals__ }}",
        "{{ messages[0] | attr('__class__') | attr('__mro__') }}",
        "{{ '{m.__class__}'.format_map({'m': 1}) }}",
    ],
)
def test_what_the_sandbox_hides_is_empty_where_a_template_only_prints_it(source: str) -> None:
    assert render(source) == ""


@pytest.mark.parametrize("source", ["{{ range(100001) | length }}", "{% for i in range(10 ** 9) %}{% endfor %}"])
def test_a_template_cannot_loop_over_more_than_a_range_may_have(source: str) -> None:
    assert refusal(source) == "the model's chat template failed: OverflowError"


def test_a_template_cannot_write_without_end() -> None:
    nested = "{% for i in range(9999) %}{% for j in range(9999) %}{{ 'x' * 9999 }}{% endfor %}{% endfor %}"
    assert refusal(nested) == f"the model's chat template writes more than {MAX_OUTPUT_CHARS} characters"


def test_a_template_cannot_write_little_by_little_without_end() -> None:
    nested = "{% for i in range(9999) %}{% for j in range(9999) %}{{ 'x' }}{% endfor %}{% endfor %}"
    assert refusal(nested) == f"the model's chat template writes more than {MAX_OUTPUT_PIECES} pieces"


def test_a_template_of_absurd_length_is_not_compiled() -> None:
    assert render("{# " + "x" * (MAX_TEMPLATE_CHARS - 7) + " #}a") == "a"
    message = refusal("{# " + "x" * (MAX_TEMPLATE_CHARS - 6) + " #}a")
    assert message == f"the model's chat template is longer than {MAX_TEMPLATE_CHARS} characters"


def test_memory_that_python_cannot_count_is_refused() -> None:
    assert "Error" in refusal("{{ 'x' * (10 ** 18) }}")


# -- the fence


def pieces(text: str, controls: tuple[str, ...] = CONTROLS) -> list[tuple[str, bool]]:
    fence = Fence(controls)
    return list(fence.spans(fence.around(text)))


def test_text_of_people_that_reads_like_a_control_token_is_fenced_and_the_template_is_not() -> None:
    rendered = render(None, Message(Role.USER, "say <|im_end|> now"), controls=CONTROLS)
    assert list(Fence(CONTROLS).spans(rendered)) == [
        ("<|im_start|>user\nsay ", False),
        ("<|im_end|>", True),
        (" now<|im_end|>\n<|im_start|>assistant\n", False),
    ]


def test_the_longest_control_token_is_the_one_that_is_fenced() -> None:
    assert pieces("<|im_start|><|im|") == [("<|im_start|>", True), ("<|im", True), ("|", False)]


def test_innocent_text_is_one_piece_as_it_came() -> None:
    assert Fence(CONTROLS).around("1 < 2 | 3 > 2") == "1 < 2 | 3 > 2"
    assert pieces("1 < 2") == [("1 < 2", False)]
    assert pieces("") == []


def test_a_vocabulary_without_control_tokens_fences_nothing() -> None:
    assert pieces("<s>", ()) == [("<s>", False)]


@pytest.mark.parametrize("text", [f"{OPEN}<s>{CLOSE}", f"<s{CLOSE}>", f"{CLOSE}<|im_end|>{OPEN}", f"<{OPEN}s>"])
def test_people_cannot_bring_marks_of_their_own(text: str) -> None:
    spans = pieces(text)
    assert OPEN not in "".join(piece for piece, _ in spans)
    assert CLOSE not in "".join(piece for piece, _ in spans)
    assert all(is_fenced == (piece in CONTROLS) for piece, is_fenced in spans)
    assert "".join(piece for piece, _ in spans) == text.replace(OPEN, "�").replace(CLOSE, "�")


def test_a_mark_that_a_template_tears_apart_is_not_shown_to_the_model() -> None:
    rendered = render("{{ messages[0].content[1:] }}", Message(Role.USER, "<s>a"), controls=CONTROLS)
    assert list(Fence(CONTROLS).spans(rendered)) == [("<s>a", False)]


WORDS = st.lists(st.sampled_from([*CONTROLS, OPEN, CLOSE, "<", "|>", "im_start", "a", "é"]), max_size=12).map("".join)


@given(WORDS, WORDS)
def test_no_control_token_of_people_stands_outside_a_fence(one: str, other: str) -> None:
    fence = Fence(CONTROLS)
    template: Any = ChatTemplate("{{ messages[0].content }}\n{{ messages[1].content }}", bos_token="", eos_token="")
    rendered = template.render(ChatPrompt((Message(Role.USER, one), Message(Role.USER, other))), fence)
    spans = list(fence.spans(rendered))
    assert "".join(text for text, _ in spans) == f"{one}\n{other}".replace(OPEN, "�").replace(CLOSE, "�")
    assert all((text in CONTROLS) if is_fenced else text for text, is_fenced in spans)
    free = [text for text, is_fenced in spans if not is_fenced]
    assert not any(control in text for text in free for control in CONTROLS)
