"""Scripts by themselves: which answer is given, which is impossible, and how failures read."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, BodhiError, ConfigurationInvalid, NotStarted
from bodhi_asgi.engine.templates import ChatTemplate, Fence
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role, ToolCall, ToolSpec
from bodhi_asgi.testing import Gate, NotScripted, Script, ScriptImpossible, call, running, scripted
from bodhi_asgi.testing.template import TEMPLATE, PlainRendering, rendering

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
MISTRAL = (
    "{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}"
    "{% for call in tool_calls %}[TOOL_CALLS]{% endfor %}"
)
OPENS_THINKING = "{% for m in messages %}{{ m.content }}{% endfor %}<think>\n{# </think> <tool_call> #}"


@pytest.fixture(scope="module")
def app() -> BodhiApp:
    return BodhiApp()


@pytest.fixture
async def script(app: BodhiApp) -> AsyncIterator[Script]:
    async with running(app, Script(strict=False, width=2)) as script:
        yield script


async def ask(app: BodhiApp, text: str = "hello", **more: Any) -> Any:
    question = {"model": "demo", "messages": [{"role": "user", "content": text}], **more}
    return (await app.server.chat_completion(question, stream=False)).choices[0].message


async def test_the_first_that_suits_and_is_not_spent_is_given(app: BodhiApp, script: Script) -> None:
    tea = script.says("tea it is", when="tea", times=None)
    once = script.says("once")
    twice = script.says(lambda asked: f"{asked.text}, {asked.text}", times=2)
    said = [(await ask(app, text)).content for text in ("tea", "coffee", "more tea", "hey", "ho")]
    assert said == ["tea it is", "once", "tea it is", "hey, hey", "ho, ho"]
    assert [len(answer.asked) for answer in (tea, once, twice)] == [2, 1, 2]
    script.check()


@pytest.mark.parametrize(
    ("answer", "request_", "why"),
    [
        ({"calls": [call("weather")]}, {}, "calls the tool 'weather', and the request allows none"),
        ({"calls": [call("wether")]}, {"tools": [TOOL]}, "calls the tool 'wether', and the request allows weather"),
        ({}, {"tools": [TOOL], "tool_choice": "required"}, "only says something"),
        (
            {"calls": [call("weather"), call("weather")]},
            {"tools": [TOOL], "parallel_tool_calls": False},
            "one call at most",
        ),
        ({}, {"response_format": {"type": "json_object"}}, "holds the answer to 'response_format'"),
        ({}, {"guided_choice": ["yes", "no"]}, "holds the answer to 'guided_choice'"),
        ({}, {"guided_regex": "[0-9]+"}, "holds the answer to 'guided_regex'"),
        ({"when": lambda asked: asked.nonsense}, {}, "a function of the script failed: AttributeError"),
    ],
)
async def test_what_no_model_could_have_said_is_refused(
    app: BodhiApp, script: Script, answer: dict[str, Any], request_: dict[str, Any], why: str
) -> None:
    script.says("words", **answer)
    with pytest.raises(ScriptImpossible) as refused:
        await ask(app, **request_)
    assert why in refused.value.message
    with pytest.raises(AssertionError) as failed:
        script.check()
    assert why in str(failed.value)


async def test_what_a_constraint_allows_is_said(app: BodhiApp, script: Script) -> None:
    script.says('{"a": 1}')
    assert (await ask(app, response_format={"type": "json_object"})).content == '{"a": 1}'
    script.says("yes")
    assert (await ask(app, guided_choice=["yes", "no"])).content == "yes"
    script.says("42")
    assert (await ask(app, guided_regex="[0-9]+")).content == "42"
    script.says("anything")
    assert (await ask(app, grammar='root ::= "x"')).content == "anything"


async def test_a_text_is_continued_without_thoughts(app: BodhiApp, script: Script) -> None:
    script.says(" there was", reasoning="never told")
    reply = await app.server.completion({"model": "demo", "prompt": "Once"}, stream=False)
    assert reply.choices[0].text == " there was"
    assert (script.last.text, script.last.messages, script.last.prompt) == ("Once", [], "Once")
    script.says("return 1")
    await app.server.completion({"model": "demo", "prompt": "def f():", "suffix": "\n"}, stream=False)
    assert script.last.text == "def f():\n"
    script.says("tokens")
    await app.server.completion({"model": "demo", "prompt": [3, 4]}, stream=False)
    assert script.last.text == script.last.prompt


async def test_pictures_and_results_of_tools_are_told(app: BodhiApp, script: Script) -> None:
    script.says("A red square.")
    picture = "data:image/gif;base64,R0lGODlhEAAQAIAAAP8AAP///yH5BAAAAAAALAAAAAAQABAAAAIOhI+py+0Po5y02ouzPgUAOw=="
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "What is it?"}]
    await app.server.chat_completion({"model": "demo", "messages": [{"role": "user", "content": content}]})
    assert script.last.images == 1
    assert "[image]" in script.last.text

    script.says("Sunny.")
    made = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "How is it?"},
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "call_1", "content": "24 degrees"},
    ]
    await app.server.chat_completion({"model": "demo", "messages": messages, "tools": [TOOL]})
    assert (script.last.results, script.last.system) == (["24 degrees"], "Be short.")
    assert script.last.messages[2]["tool_calls"] == [made]
    assert '<tool_call>\n{"name": "weather", "arguments": {}}' in script.last.prompt


async def test_the_template_of_the_host_decides_how_calls_are_written(app: BodhiApp) -> None:
    async with running(app, Script(template=MISTRAL)) as script:
        script.says(calls=[call("weather", city="Oslo")])
        (made,) = (await ask(app, "How is it?", tools=[TOOL])).tool_calls
        assert made.function.arguments == '{"city": "Oslo"}'
        assert script.last.prompt.startswith("[INST]")
        assert script.last.said.startswith("[TOOL_CALLS]")
        script.says("no", reasoning="Hm.", when="think")
        with pytest.raises(ScriptImpossible, match="does not think"):
            await ask(app, "think")
        with pytest.raises(AssertionError, match="does not think"):
            script.check()


async def test_a_template_that_opens_the_thinking_is_answered_from_there(app: BodhiApp) -> None:
    async with running(app, Script(template=OPENS_THINKING)) as script:
        script.says("Yes.", reasoning="Is it?")
        script.says("Yes.")
        thought, plain = await ask(app), await ask(app)
        assert (thought.content, thought.reasoning_content) == ("Yes.", "Is it?")
        assert (plain.content, plain.reasoning_content) == ("Yes.", None)


def test_the_plain_template_writes_in_python_what_it_would_in_jinja() -> None:
    turns = (
        Message(Role.SYSTEM, "Be short."),
        Message(Role.USER, "How is it in <b>Oslo</b>?"),
        Message(Role.ASSISTANT, "", tool_calls=(ToolCall("1", "weather", '{"city": "Oslo"}'),), reasoning="Look."),
        Message(Role.TOOL, "sunny", tool_call_id="1"),
    )
    template = ChatTemplate(TEMPLATE, bos_token="<s>", eos_token="</s>")
    plain = rendering(TEMPLATE)
    assert isinstance(plain, PlainRendering)
    for count, tools in itertools.product(range(1, 5), ((), (ToolSpec("weather", "How it is"),))):
        prompt = ChatPrompt(turns[:count], tools)
        assert plain(prompt) == template.render(prompt, Fence(()))


def test_failures_name_what_was_asked_instead() -> None:
    script = Script()
    for look in (lambda: script.last, lambda: script.only):
        with pytest.raises(AssertionError):
            look()
    with pytest.raises(AssertionError, match="nobody asked for anything\nWhat was asked:\n  nothing"):
        script.assert_asked()
    with pytest.raises(TypeError, match="knows no 'temprature'"):
        script.assert_asked(temprature=1)
    script.assert_nothing_asked()
    with pytest.raises(AssertionError, match=r"0 of 1 requests came within 0\.01 s"):
        script.wait_asked(timeout_s=0.01)


async def test_what_was_asked_is_counted_and_compared(app: BodhiApp, script: Script) -> None:
    script.says("one", times=None)
    await ask(app, "first")
    await ask(app, "second")
    await script.came(2)
    assert script.assert_asked("second", times=1) is script.last
    with pytest.raises(AssertionError, match="asked 2 times and not 3"):
        script.assert_asked(times=3)
    with pytest.raises(AssertionError, match="there were 2"):
        _ = script.only
    with pytest.raises(AssertionError, match=r"(?s)nothing was to be asked.*'first'"):
        script.assert_nothing_asked()
    assert script.usage("host").completion_tokens == 2
    assert script.usage("host:nobody").total_tokens == 0


def test_pieces_and_vectors_are_looked_at_when_they_are_written() -> None:
    script = Script(width=2)
    with pytest.raises(TypeError, match="is no piece of an answer"):
        script.says(42)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no piece of an answer"):
        script.fails(NotScripted)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has 3 values, and those of this script have 2"):
        script.embeds("a", [1.0, 2.0, 3.0])
    gate = Gate("here")
    gate.open()
    assert str(script.says("a", gate, calls=[call("b", c=1)])) == "\"a <open Gate 'here'> b(c=1)\" (given 0 of 1 times)"


async def test_a_server_that_runs_takes_no_script(app: BodhiApp) -> None:
    async with running(app, Script(strict=False)):
        with pytest.raises(ConfigurationInvalid, match="started already"):
            scripted(app).__enter__()


async def test_a_synchronous_with_cannot_wait_for_its_own_event_loop(app: BodhiApp) -> None:
    stand = scripted(app, Script(strict=False))
    stand.__enter__()
    await app.server.start()
    with pytest.raises(NotStarted, match="use 'async with'"):
        stand.leave()
    await app.server.shutdown()


async def test_vectors_may_be_given_by_a_function(app: BodhiApp, script: Script) -> None:
    script.embeds(lambda text: text.startswith("cat"), [0.0, 2.0])
    answer = await app.server.embeddings({"model": "demo", "input": ["cats", "dogs"], "dimensions": 2})
    assert answer.data[0].embedding == [0.0, 1.0]
    assert script.read[0].texts == ("cats", "dogs")
    with pytest.raises(AssertionError, match="dogs"):
        script.assert_nothing_asked()


async def test_a_failed_request_keeps_its_error(app: BodhiApp, script: Script) -> None:
    with pytest.raises(BodhiError) as failed:
        await ask(app, max_tokens=1_000_000)
    assert script.last.error is failed.value
    assert script.last.outcome == "failed"
