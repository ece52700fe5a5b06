"""The agents of the guide: each block makes its agent, and does what the text around it says."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.http import Http404
from django.test import AsyncRequestFactory

from bodhi_asgi import Agent
from tests.agents.scripted import Says, ScriptedChat, call
from tests.behaviour.doors import django_application
from tests.docs.pages import Block, blocks

BLOCKS = {block.name: block for block in blocks("agent")}


def names_of(block: Block) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block.code, block.name, "exec"), names)
    return names


def block_with(name: str) -> dict[str, Any]:
    """What the block that defines ``name`` defines."""
    django_application()
    (found,) = [names for names in map(names_of, BLOCKS.values()) if name in names]
    return found


@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_makes_an_agent_with_tools(name: str) -> None:
    django_application()
    agents = [value for value in names_of(BLOCKS[name]).values() if isinstance(value, Agent)]
    assert agents
    assert all(agent.tools for agent in agents)


async def test_the_context_keeps_other_peoples_orders_apart() -> None:
    names = block_with("order_status")
    chat = ScriptedChat([Says("", (call("order_status", {"order": 12}),)), Says("On its way.")])
    assert await names["answer"](chat, "Where is 12?") == "On its way."
    assert chat.requests[1]["messages"][-1]["content"] == "on its way"
    chat = ScriptedChat([Says("", (call("order_status", {"order": 13}),)), Says("No such order.")])
    await names["answer"](chat, "Where is 13?")
    assert chat.requests[1]["messages"][-1]["content"] == '{"error": "this customer has no order 13"}'


async def test_the_gambler_is_stopped() -> None:
    chat = ScriptedChat([Says("", (call("roll"),))])
    assert await block_with("gambler")["play"](chat) == "no more: turn_limit"
    assert len(chat.requests) == 4


@pytest.mark.parametrize(("allowed", "told"), [(True, "3.0 refunded"), (False, "too much")])
async def test_a_refund_waits_as_text_and_goes_on(allowed: bool, told: str) -> None:
    names = block_with("refund")
    chat = ScriptedChat([Says("", (call("refund", {"order": 1, "amount": 3}),)), Says("Done.")])
    stored = await names["pause"](chat, "Money back!")
    assert await names["go_on"](chat, stored, allowed) == "Done."
    assert told in chat.requests[1]["messages"][-1]["content"]


class Loans:
    """Enough of a queryset for the block."""

    renewed: tuple[int, ...] = ()

    def filter(self, book: int) -> "Loans":
        self.book = book
        return self

    async def aupdate(self, *, renewed: bool) -> None:
        self.renewed += (self.book,) * renewed


async def test_django_views_ask_a_person_and_let_each_state_through_once() -> None:
    names = block_with("count_loans")
    reader = SimpleNamespace(pk=4, loans=Loans())
    chat = ScriptedChat([Says("", (call("renew", {"book": 8}),)), Says("Renewed.")])
    names["get_bodhi"] = lambda _: SimpleNamespace(for_request=lambda _: chat)

    async def ask(view: str, method: str, **data: str) -> str:
        request = getattr(AsyncRequestFactory(), method)("/", data)
        request.auser = as_user(reader)
        response = await names[view](request)
        return "".join([part.decode() async for part in response])

    said = await ask("ask", "get", q="Renew 8")
    state_id = said.rpartition('"state_id":"')[2][:26]
    assert "approval_needed" in said
    assert "Renewed." in await ask("decide", "post", state_id=state_id, call_renew="yes")
    assert reader.loans.renewed == (8,)
    with pytest.raises(Http404):
        await ask("decide", "post", state_id=state_id, call_renew="yes")
    assert reader.loans.renewed == (8,)


def as_user(user: Any) -> Any:
    async def auser() -> Any:
        return user

    return auser
