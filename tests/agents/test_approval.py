"""A run that waits for a person: what it asks, how it is kept, and how it goes on."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bodhi_asgi import (
    Agent,
    AgentLimits,
    AgentOutcome,
    AgentState,
    ApprovalAsked,
    Approve,
    Deny,
    Invalid,
    ToolCalled,
    ToolFailed,
    ToolReturned,
    tool,
)
from bodhi_asgi.agents.errors import DecisionInvalid, StateInvalid
from bodhi_asgi.types import Secret
from tests.agents.scripted import Says, ScriptedChat, call

KEY = "sixteen bytes or more"


class Shop:
    """A shop that gives money back, when somebody agrees."""

    def __init__(self) -> None:
        self.refunds: list[tuple[int, float]] = []

    async def refund(self, order: int, amount: float = 5.0) -> str:
        """Give money back"""
        self.refunds.append((order, amount))
        return "refunded"

    async def status(self, order: int) -> str:
        """How an order is"""
        return f"order {order} is on its way"


def large(arguments: Mapping[str, Any]) -> bool:
    return arguments["amount"] > 10


def agent_of(shop: Shop, **options: Any) -> Agent:
    refund = tool(needs_approval=options.pop("needs_approval", True))(shop.refund)
    return Agent("demo", tools=[shop.status, refund], **options)


def asking(*calls: dict[str, Any]) -> ScriptedChat:
    return ScriptedChat([Says("One moment.", calls), Says("done")])


REFUND = call("refund", {"order": 7, "amount": 20}, "r")
STATUS = call("status", {"order": 7}, "s")


async def paused(agent: Agent, *calls: dict[str, Any]) -> AgentState:
    """The state after the model asked for ``calls``, through its JSON."""
    result = await agent.run(asking(*calls), "go")
    assert result.outcome == AgentOutcome.APPROVAL_NEEDED
    assert result.state is not None
    return AgentState.from_json(result.state.to_json())


async def test_a_call_that_needs_approval_waits_and_the_others_of_its_turn_are_made() -> None:
    shop = Shop()
    chat = asking(REFUND, STATUS)
    run = agent_of(shop).run(chat, "go")
    events = [event async for event in run]

    assert [event for event in events if isinstance(event, ApprovalAsked | ToolCalled | ToolReturned)] == [
        ApprovalAsked("r", "refund", {"order": 7, "amount": 20}),
        ToolCalled("s", "status", {"order": 7}),
        ToolReturned("s", "status", "order 7 is on its way"),
    ]
    assert run.result.outcome == AgentOutcome.APPROVAL_NEEDED
    assert run.result.state is not None
    assert [one.id for one in run.result.state.pending] == ["r"]
    assert shop.refunds == []
    assert len(chat.requests) == 1


async def test_an_approved_call_is_made_and_the_run_goes_on_where_it_stood() -> None:
    shop = Shop()
    agent = agent_of(shop)
    state = await paused(agent, REFUND, STATUS)
    chat = ScriptedChat([Says("All done.")])

    result = await agent.resume(chat, state, {"r": Approve()})

    assert shop.refunds == [(7, 20.0)]
    assert (result.outcome, result.text) == (AgentOutcome.FINISHED, "All done.")
    assert (result.spent.turns, result.spent.tool_calls) == (2, 2)
    assert [(one["role"], one["content"]) for one in chat.requests[0]["messages"]] == [
        ("user", "go"),
        ("assistant", "One moment."),
        ("tool", "refunded"),
        ("tool", "order 7 is on its way"),
    ]


async def test_what_the_model_thought_is_told_to_it_again_after_a_pause() -> None:
    agent = agent_of(Shop())
    paused = await agent.run(ScriptedChat([Says("", (REFUND,), "he asks nicely")]), "go")
    assert paused.state is not None
    chat = ScriptedChat([Says("Done.")])
    await agent.resume(chat, AgentState.from_json(paused.state.to_json()), {"r": Approve()})
    assert chat.requests[0]["messages"][1]["reasoning_content"] == "heasksnicely"


async def test_a_denied_call_is_not_made_and_the_model_is_told_why() -> None:
    shop = Shop()
    agent = agent_of(shop)
    chat = ScriptedChat([Says("A pity.")])
    run = agent.resume(chat, await paused(agent, REFUND), {"r": Deny("too much")})
    (failed,) = [event async for event in run if isinstance(event, ToolFailed)]

    assert (failed.code, failed.message) == ("denied", "a person did not allow this call: too much")
    assert json.loads(chat.requests[0]["messages"][-1]["content"]) == {"error": failed.message}
    assert shop.refunds == []
    assert run.result.outcome == AgentOutcome.FINISHED


async def test_edited_arguments_are_made_and_told_in_place_of_the_models() -> None:
    shop = Shop()
    agent = agent_of(shop)
    chat = ScriptedChat([Says("Done.")])
    await agent.resume(chat, await paused(agent, REFUND), {"r": Approve({"order": 7, "amount": 8})})
    assert shop.refunds == [(7, 8.0)]
    made = chat.requests[0]["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(made["arguments"]) == {"order": 7, "amount": 8}


@pytest.mark.parametrize(
    ("decisions", "param", "says"),
    [
        ({}, "r", "has no decision"),
        ({"r": Approve(), "x": Deny()}, "x", "does not wait"),
        ({"r": Approve({"order": "seven"})}, "order", "edited arguments do not fit"),
        ({"r": Approve({"order": 7, "to": "me"})}, "to", "edited arguments do not fit"),
        ({"r": Approve({"order": object()})}, "r", "not plain JSON"),
        ({"r": True}, "r", "an Approve or a Deny"),
    ],
)
async def test_decisions_that_do_not_fit_are_refused_before_anything_runs(
    decisions: dict[str, Any], param: str, says: str
) -> None:
    agent = agent_of(Shop())
    state = await paused(agent, REFUND)
    with pytest.raises(DecisionInvalid, match=says) as refused:
        agent.resume(asking(), state, decisions)
    assert refused.value.param == param
    assert refused.value.status == 400


async def test_a_predicate_asks_for_some_arguments_only_and_sees_the_defaults() -> None:
    shop = Shop()
    small = call("refund", {"order": 1})
    assert (await agent_of(shop, needs_approval=large).run(asking(small), "go")).outcome == AgentOutcome.FINISHED
    assert shop.refunds == [(1, 5.0)]
    await paused(agent_of(shop, needs_approval=large), REFUND)


@pytest.mark.parametrize("predicate", [lambda _: 1 / 0, lambda _: None, lambda _: "no"])
async def test_a_predicate_that_does_not_say_false_asks(predicate: Any) -> None:
    await paused(agent_of(Shop(), needs_approval=predicate), REFUND)


async def test_a_person_is_not_bothered_with_arguments_that_do_not_fit() -> None:
    run = agent_of(Shop()).run(asking(call("refund", {"order": "x"})), "go")
    assert [event.code async for event in run if isinstance(event, ToolFailed)] == ["arguments_invalid"]
    assert run.result.outcome == AgentOutcome.FINISHED


async def test_a_tool_that_is_gone_when_the_run_goes_on_is_a_failure_for_the_model() -> None:
    state = await paused(agent_of(Shop()), REFUND)
    run = Agent("demo", tools=[Shop().status]).resume(ScriptedChat([Says("ok")]), state, {"r": Approve()})
    assert [event.code async for event in run if isinstance(event, ToolFailed)] == ["unknown_tool"]


async def test_what_was_approved_is_made_though_the_limit_of_calls_is_reached() -> None:
    shop = Shop()
    agent = agent_of(shop, limits=AgentLimits(tool_calls=1))
    state = await paused(agent, REFUND, STATUS)
    assert state.spent.tool_calls == 1
    assert [one.id for one in state.pending] == ["r"]
    await agent.resume(ScriptedChat([Says("ok")]), state, {"r": Approve()})
    assert shop.refunds == [(7, 20.0)]


async def test_a_state_is_plain_json_that_comes_back_the_same() -> None:
    state = await paused(agent_of(Shop()), REFUND, STATUS)
    assert json.loads(state.to_json())["version"] == 1
    assert AgentState.from_json(state.to_json().encode()) == state


def broken(text: str) -> list[tuple[str, Any]]:
    body = json.loads(text)
    return [
        ("not JSON", "{"),
        ("a list", "[]"),
        ("nothing", ""),
        ("half a surrogate", "\ud800"),
        ("another version", {**body, "version": 2}),
        ("no version", {key: value for key, value in body.items() if key != "version"}),
        ("something more", {**body, "admin": True}),
        ("no calls", {**body, "calls": []}),
        ("one call twice", {**body, "calls": body["calls"] * 2}),
        ("results of nobody", {**body, "results": {"x": "y"}}),
        ("a negative count", {**body, "spent": {**body["spent"], "turns": -1}}),
        ("a time that is no number", {**body, "spent": {**body["spent"], "time_s": "1"}}),
        ("a wrong id", {**body, "id": "1"}),
        ("too long", "x" * (5 * 1024 * 1024)),
    ]


async def test_what_is_no_state_is_refused() -> None:
    state = await paused(agent_of(Shop()), REFUND)
    for name, text in broken(state.to_json()):
        with pytest.raises(StateInvalid):
            AgentState.from_json(text if isinstance(text, str) else json.dumps(text))
            pytest.fail(name)


async def test_a_signed_state_is_good_for_its_owner_and_its_key_only() -> None:
    state = await paused(agent_of(Shop()), REFUND)
    text = state.signed(Secret(KEY), owner="ada")
    assert AgentState.from_signed(text, KEY, owner="ada", max_age_s=60) == state
    for changed in (
        {"owner": "bob"},
        {"key": "another key of sixteen"},
        {"text": text[:-2] + "xx"},
        {"text": state.to_json()},
        {"max_age_s": -1},
        {"text": "x" * (9 * 1024 * 1024)},
    ):
        with pytest.raises(StateInvalid):
            AgentState.from_signed(**{"text": text, "key": KEY, "owner": "ada", "max_age_s": 60, **changed})


async def test_a_short_key_or_an_owner_without_name_signs_nothing() -> None:
    state = await paused(agent_of(Shop()), REFUND)
    for key, owner in (("short", "ada"), (KEY, "")):
        with pytest.raises(Invalid):
            state.signed(key, owner=owner)
