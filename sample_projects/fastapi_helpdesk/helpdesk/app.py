"""The application: an API for tickets, the assistant as a stream of events, and bodhi at ``/bodhi``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from bodhi_asgi import AgentRun, AgentState, Approve, Bodhi, BodhiApp, BodhiError, Deny
from bodhi_fastapi import BodhiDep, combine_lifespans, merge_openapi
from helpdesk.assistant import assistant_of
from helpdesk.guard import Guard
from helpdesk.settings import Settings
from helpdesk.store import NewTicket, Store, Ticket

STATIC = Path(__file__).parent / "static"


class Question(BaseModel):
    """What somebody at the desk asks."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]


class Decision(BaseModel):
    """A person's word on the calls of a run that waits."""

    allowed: bool


def store_of(request: Request) -> Store:
    store: Store = request.state.store
    return store


StoreDep = Annotated[Store, Depends(store_of)]


def create_app(settings: Settings | None = None, bodhi: BodhiApp | None = None) -> FastAPI:
    """The helpdesk with these settings, or those of the environment."""
    settings = settings or Settings.from_environment()
    bodhi = bodhi or BodhiApp()
    assistant = assistant_of(settings.model)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG001
        async with Store.open(settings.database) as store:
            yield {"store": store}

    app = FastAPI(title="Helpdesk", lifespan=combine_lifespans(bodhi.lifespan, lifespan), docs_url=None, redoc_url=None)
    app.add_middleware(Guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.mount("/bodhi", bodhi)
    merge_openapi(app, bodhi)

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "page.html")

    @app.get("/tickets")
    async def tickets(store: StoreDep) -> list[Ticket]:
        return await store.tickets()

    @app.post("/tickets", status_code=201)
    async def add(new: NewTicket, store: StoreDep, verbs: BodhiDep, later: BackgroundTasks) -> Ticket:
        ticket = await store.add(new)
        later.add_task(summarise, verbs, settings.model, store, ticket)
        return ticket

    @app.post("/assistant", response_class=StreamingResponse)
    async def ask(question: Question, store: StoreDep, verbs: BodhiDep) -> StreamingResponse:
        return events(assistant.run(verbs, question.text, deps=store), store)

    @app.post("/assistant/{state_id}", response_class=StreamingResponse)
    async def decide(state_id: str, decision: Decision, store: StoreDep, verbs: BodhiDep) -> StreamingResponse:
        stored = await store.take(state_id)
        if stored is None:
            raise HTTPException(404, "No run waits under this id: it may have been decided already.")
        state = AgentState.from_json(stored)
        word = Approve() if decision.allowed else Deny("the person at the desk said no")
        return events(assistant.resume(verbs, state, {call.id: word for call in state.pending}, deps=store), store)

    return app


def events(run: AgentRun, store: Store) -> StreamingResponse:
    """The run as server-sent events; its state stays here when it waits."""

    async def keep(state: AgentState) -> None:
        await store.keep(state.id, state.to_json())

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(run.event_stream(keep=keep), media_type="text/event-stream", headers=headers)


async def summarise(verbs: Bodhi, model: str, store: Store, ticket: Ticket) -> None:
    """One line about a new ticket, after its answer has gone out. A desk without summaries still works."""
    messages = [
        {"role": "system", "content": "Say in one short sentence what the customer needs."},
        {"role": "user", "content": f"{ticket.title}\n\n{ticket.body}"},
    ]
    try:
        request = {"model": model, "messages": messages, "max_tokens": 60, "temperature": 0}
        answer = await verbs.chat_completion(request, stream=False)
    except BodhiError:
        return
    await store.summarised(ticket.id, (answer.choices[0].message.content or "").strip())
