"""Agents on the real verb and the demo model: in a program, in a host's view, in both isolations."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bodhi_asgi import (
    Agent,
    AgentLimits,
    AgentOutcome,
    AgentState,
    Approve,
    Bodhi,
    BodhiApp,
    BodhiServer,
    Caller,
    Deny,
    Forbidden,
    Grants,
    Scope,
    TextAdded,
    ToolCalled,
    ToolContext,
    ToolReturned,
    tool,
)
from bodhi_django import get_bodhi
from bodhi_fastapi import UserBodhiDep
from tests.behaviour.doors import django_application
from tests.servers import serving

EVENTS = "text/event-stream"

WEATHER = "What is the weather in Paris?"
SUM = "What is 12 plus 30?"


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    return {"data_dir": tmp_path / "data", "engine": {"isolation": request.param, "n_ctx": 1024}}


@pytest.fixture
async def server(settings: dict[str, Any]) -> AsyncIterator[BodhiServer]:
    async with BodhiServer(**settings) as opened:
        yield opened


async def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers"""
    return {"result": a + b}


def get_weather(city: str, context: ToolContext[dict[str, int]]) -> dict[str, Any]:
    """Get the weather in a city"""
    return {"weather": "sunny", "temperature": context.deps[city]}


assistant = Agent("demo", tools=[add, get_weather], temperature=0)
careful = Agent("demo", tools=[tool(needs_approval=True)(add), get_weather], temperature=0)


async def test_the_model_calls_a_function_and_tells_what_it_said(server: BodhiServer) -> None:
    run = assistant.run(server, WEATHER, deps={"Paris": 21})
    events = [event async for event in run]

    (called,) = [event for event in events if isinstance(event, ToolCalled)]
    (returned,) = [event for event in events if isinstance(event, ToolReturned)]
    assert (called.name, called.arguments) == ("get_weather", {"city": "Paris"})
    assert json.loads(returned.content) == {"weather": "sunny", "temperature": 21}
    text = "".join(event.text for event in events if isinstance(event, TextAdded))
    assert text == run.result.text == "It is sunny in Paris, with 21 degrees."
    assert sum(isinstance(event, TextAdded) for event in events) > 3
    assert (run.result.outcome, run.result.spent.turns) == (AgentOutcome.FINISHED, 2)
    assert run.result.spent.prompt_tokens > run.result.spent.completion_tokens > 10


async def test_a_question_that_needs_no_tool_gets_an_answer_at_once(server: BodhiServer) -> None:
    result = await assistant.run(server, "What is the capital of France?")
    assert (result.text, result.spent.tool_calls) == ("The capital of France is Paris.", 0)


async def test_a_conversation_goes_on_after_a_run(server: BodhiServer) -> None:
    first = await assistant.run(server, SUM)
    assert first.text == "The result is 42."
    more = [*first.messages, {"role": "user", "content": WEATHER}]
    second = await assistant.run(server, more, deps={"Paris": 3})
    assert [message["role"] for message in second.messages] == ["user", "assistant", "tool", "assistant"] * 2


@pytest.mark.parametrize(("decision", "told"), [(Approve(), "42"), (Approve({"a": 1, "b": 2}), "3"), (Deny(), "not")])
async def test_a_run_waits_for_a_person_and_goes_on_in_another_server(
    settings: dict[str, Any], decision: Approve | Deny, told: str
) -> None:
    async with BodhiServer(**settings) as server:
        paused = await careful.run(server, SUM)
    assert paused.outcome == AgentOutcome.APPROVAL_NEEDED
    assert paused.state is not None
    state = AgentState.from_json(paused.state.to_json())
    (call,) = state.pending
    assert (call.name, call.read) == ("add", {"a": 12, "b": 30})

    async with BodhiServer(**settings) as server:
        result = await careful.resume(server, state, {call.id: decision})
    (content,) = [message["content"] for message in result.messages if message["role"] == "tool"]
    assert told in str(content)
    assert result.outcome == AgentOutcome.FINISHED


async def test_a_run_has_the_grants_of_its_caller_and_no_others(server: BodhiServer) -> None:
    for caller in (
        Caller.user("ada", grants=Grants(list_models=True)),
        Caller.user("ada", scopes=frozenset({Scope.MODELS_READ})),
    ):
        with pytest.raises(Forbidden):
            await assistant.run(server.as_caller(caller), SUM)


async def test_a_tool_may_ask_the_model_itself_on_behalf_of_the_same_caller(server: BodhiServer) -> None:
    asked: list[str] = []

    async def get_time(city: str, context: ToolContext[None]) -> dict[str, str]:
        """Get the time in a city"""
        assert isinstance(context.bodhi, Bodhi)
        asked.append((await context.bodhi.caller()).name)
        return {"time": "12:30"}

    mine = server.as_caller(Caller.user("ada"))
    result = await Agent("demo", tools=[get_time], temperature=0).run(mine, "What time is it in Oslo?")
    assert result.text == "It is 12:30 in Oslo."
    assert asked == ["ada"]


async def test_leaving_in_the_middle_of_the_words_frees_the_model(server: BodhiServer) -> None:
    one = Agent("demo", temperature=0)
    async with one.run(server, "Count to twelve") as run:
        await anext(run)
    assert (await one.run(server, "What is the capital of France?")).text


async def test_a_model_that_calls_on_and_on_is_stopped(server: BodhiServer) -> None:
    forced = Agent("demo", tools=[add], limits=AgentLimits(turns=1), tool_choice="required", temperature=0)
    result = await forced.run(server, SUM)
    assert (result.outcome, result.spent.tool_calls) == (AgentOutcome.TURN_LIMIT, 1)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    good: bool


class Tree(BaseModel):
    value: int
    children: "Annotated[list[Tree], Field(max_length=2)]" = []


TYPES = {
    "a decimal number": Decimal,
    "a number within limits": Annotated[float, Field(gt=0, lt=1)],
    "a number or a text": int | str,
    "one of some values": Literal[1, "a", None],
    "a set": Annotated[set[int], Field(max_length=3)],
    "a pair": tuple[int, Annotated[str, Field(max_length=5)]],
    "a list": Annotated[list[int], Field(min_length=1, max_length=3)],
    "a map": dict[str, int],
    "a date": date,
    "an id": UUID,
    "a pattern": Annotated[str, Field(pattern=r"^\d{3}$")],
    "a path": Path,
    "a model of several": Annotated[Cat | Dog, Field(discriminator="kind")],
    "a model within itself": Tree,
    "anything": Any,
}


async def test_whatever_the_types_of_a_function_a_model_writes_arguments_that_fit(server: BodhiServer) -> None:
    for name, kind in TYPES.items():

        async def add(x: kind) -> str:  # type: ignore[valid-type]
            return "added"

        limits = AgentLimits(turns=1)
        agent = Agent("demo", tools=[add], tool_choice="required", limits=limits, max_tokens=150, temperature=0)
        run = agent.run(server, SUM)
        kinds = [event.kind async for event in run]
        assert "tool_failed" not in kinds, name
        assert run.result.outcome == AgentOutcome.LENGTH or "tool_called" in kinds, name


class Views:
    """What a host does for its own pages, whatever it is made with: one that asks, and one that decides."""

    def __init__(self) -> None:
        self.paused: dict[str, AgentState] = {}

    async def keep(self, state: AgentState) -> None:
        self.paused[state.id] = state

    def ask(self, mine: Bodhi, question: str) -> AsyncIterator[bytes]:
        return careful.run(mine, question, deps={"Paris": 21}).event_stream(keep=self.keep)

    def decide(self, mine: Bodhi, state_id: str) -> AsyncIterator[bytes]:
        state = self.paused.pop(state_id)
        decisions = {call.id: Approve() for call in state.pending}
        return careful.resume(mine, state, decisions, deps={"Paris": 21}).event_stream(keep=self.keep)


def starlette_host(bodhi: BodhiApp, views: Views) -> Any:
    async def ask(request: Request) -> Response:
        mine = request.state.bodhi.for_request(request)
        return StreamingResponse(views.ask(mine, request.query_params["q"]), media_type=EVENTS)

    async def decide(request: Request) -> Response:
        mine = request.state.bodhi.for_request(request)
        return StreamingResponse(views.decide(mine, request.query_params["state_id"]), media_type=EVENTS)

    app = Starlette(routes=[Route("/ask", ask), Route("/decide", decide)])
    bodhi.install(app, "/bodhi")
    return app


def fastapi_host(bodhi: BodhiApp, views: Views) -> Any:
    app = FastAPI()

    @app.get("/ask")
    async def ask(mine: UserBodhiDep, q: str) -> StreamingResponse:
        return StreamingResponse(views.ask(mine, q), media_type=EVENTS)

    @app.get("/decide")
    async def decide(mine: UserBodhiDep, state_id: str) -> StreamingResponse:
        return StreamingResponse(views.decide(mine, state_id), media_type=EVENTS)

    bodhi.install(app, "/bodhi")
    return app


def django_host(bodhi: BodhiApp, views: Views) -> Any:
    from django.http import StreamingHttpResponse
    from django.urls import path

    inner = django_application()

    async def ask(request: Any) -> Any:
        mine = get_bodhi(request).for_request(request)
        return StreamingHttpResponse(views.ask(mine, request.GET["q"]), content_type=EVENTS)

    async def decide(request: Any) -> Any:
        mine = get_bodhi(request).for_request(request)
        return StreamingHttpResponse(views.decide(mine, request.GET["state_id"]), content_type=EVENTS)

    urls: Any = ModuleType("urls_of_agents")
    urls.urlpatterns = [path("ask", ask), path("decide", decide)]
    return bodhi.wrap(inner, "/bodhi"), urls


@asynccontextmanager
async def hosted(settings: dict[str, Any], kind: str = "starlette") -> AsyncIterator[httpx2.AsyncClient]:
    app = BodhiApp(**settings)
    with ExitStack() as stack:
        if kind == "django":
            host, urls = django_host(app, Views())
            from django.test import override_settings

            stack.enter_context(override_settings(ROOT_URLCONF=urls))
        else:
            host = (fastapi_host if kind == "fastapi" else starlette_host)(app, Views())
        async with serving(host) as url:
            created = await app.server.create_api_token("test", grants=Grants(models=frozenset({"demo"})))
            headers = {"Authorization": f"Bearer {created.token.reveal()}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                yield client


async def events_of(client: httpx2.AsyncClient, path: str, **params: str) -> list[dict[str, Any]]:
    async with client.stream("GET", path, params=params) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: ")]


@pytest.mark.parametrize("kind", ["starlette", "fastapi", "django"])
async def test_a_hosts_view_streams_the_events_and_a_second_one_decides(settings: dict[str, Any], kind: str) -> None:
    async with hosted(settings, kind) as client:
        told = await events_of(client, "/ask", q=WEATHER)
        assert told[-1]["text"] == "It is sunny in Paris, with 21 degrees."
        assert [event["kind"] for event in told if event["kind"] != "text"] == [
            "tool_called",
            "tool_returned",
            "finished",
        ]
        paused = await events_of(client, "/ask", q=SUM)
        assert (paused[-1]["outcome"], paused[-1]["pending"][0]["arguments"]) == ("approval_needed", {"a": 12, "b": 30})
        done = await events_of(client, "/decide", state_id=paused[-1]["state_id"])
        assert [event["kind"] for event in done if event["kind"] != "text"] == [
            "tool_called",
            "tool_returned",
            "finished",
        ]
        assert done[-1]["text"] == "The result is 42."


async def test_a_hosts_view_tells_nobody_in_particular_that_he_may_not(settings: dict[str, Any]) -> None:
    async with hosted(settings) as client:
        client.headers.clear()
        (error,) = await events_of(client, "/ask", q=SUM)
        assert error["kind"] == "error"


async def test_a_reader_who_leaves_stops_the_tool_that_runs(settings: dict[str, Any]) -> None:
    ended = asyncio.Event()

    async def get_weather(city: str) -> None:
        """Get the weather in a city"""
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    slow = Agent("demo", tools=[get_weather], temperature=0)

    async def ask(request: Request) -> Response:
        run = slow.run(request.state.bodhi, WEATHER)
        return StreamingResponse(run.event_stream(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/ask", ask)])
    BodhiApp(**settings).install(app, "/bodhi")
    async with serving(app) as url, httpx2.AsyncClient(base_url=url, timeout=60) as client:
        async with client.stream("GET", "/ask") as response:
            async for line in response.aiter_lines():
                if "tool_called" in line:
                    break
        async with asyncio.timeout(20):
            await ended.wait()
