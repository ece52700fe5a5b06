"""A model that uses the application's own functions, and waits for a person before the one that matters.

    uvicorn examples.host_tools:app
    curl -N 'http://127.0.0.1:8000/ask?q=What+is+the+weather+in+Paris%3F'     # looks it up and answers
    curl -N 'http://127.0.0.1:8000/ask?q=What+is+12+plus+30%3F'               # stops: "add" wants a person's word
    curl -N 'http://127.0.0.1:8000/decide?state_id=...&approve=yes'           # with the state_id that /ask ended with

Every line is an event as JSON. The state of a run that waits stays here and is let through once.
"""

from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from bodhi_asgi import Agent, AgentRun, AgentState, Approve, BodhiApp, Deny, ToolContext, tool


@dataclass
class Station:
    """What the tools need of the application: here the weather and the runs that wait, in yours a database."""

    weather: dict[str, int] = field(default_factory=lambda: {"Paris": 21, "Oslo": -3})
    waiting: dict[str, AgentState] = field(default_factory=dict)

    async def keep(self, state: AgentState) -> None:
        self.waiting[state.id] = state


async def get_weather(city: str, context: ToolContext[Station]) -> dict[str, object]:
    """Get the weather in a city"""
    return {"weather": "sunny", "temperature": context.deps.weather.get(city, 15)}


@tool(needs_approval=True)
def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers"""
    return {"result": a + b}


assistant = Agent("demo", tools=[get_weather, add], temperature=0)
station = Station()


async def ask(request: Request) -> Response:
    return events(assistant.run(request.state.bodhi, request.query_params.get("q", "Hello!"), deps=station))


async def decide(request: Request) -> Response:
    state = station.waiting.pop(request.query_params.get("state_id", ""), None)
    if state is None:
        return PlainTextResponse("no run waits under this id", 404)
    decision = Approve() if request.query_params.get("approve") == "yes" else Deny("not today")
    decisions = {call.id: decision for call in state.pending}
    return events(assistant.resume(request.state.bodhi, state, decisions, deps=station))


def events(run: AgentRun) -> StreamingResponse:
    return StreamingResponse(run.event_stream(keep=station.keep), media_type="text/event-stream")


app = Starlette(routes=[Route("/ask", ask), Route("/decide", decide)])
BodhiApp().install(app, "/bodhi")
