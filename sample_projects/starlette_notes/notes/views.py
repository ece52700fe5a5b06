"""The pages and forms: each reads its request, asks the store, the finder or the model, and answers."""

from pathlib import Path
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.templating import Jinja2Templates

from bodhi_asgi import BodhiError
from notes.search import Found, Search
from notes.store import LONGEST_BODY, LONGEST_TITLE, Note
from notes.summary import as_events, summarise

LARGEST_FORM = 1_000_000

templates = Jinja2Templates(Path(__file__).parent / "templates")


async def index(request: Request) -> Response:
    return await page(request)


async def show(request: Request) -> Response:
    return await page(request, await note_of(request))


async def create(request: Request) -> Response:
    title, body = fields(await form_of(request))
    note_id = await request.state.store.add(title, body)
    return away(request, "note", note_id=note_id)


async def change(request: Request) -> Response:
    note = await note_of(request)
    title, body = fields(await form_of(request))
    if (title, body) != (note.title, note.body):
        await request.state.store.change(note.id, title, body)
    return away(request, "note", note_id=note.id)


async def remove(request: Request) -> Response:
    await request.state.store.remove((await note_of(request)).id)
    return away(request, "index")


async def summary(request: Request) -> Response:
    """Streams the summary to a script that asks for events; a plain form waits and gets the page."""
    note, state = await note_of(request), request.state
    words = summarise(state.bodhi, state.settings.chat_model, state.store, note)
    if "text/event-stream" in request.headers.get("accept", ""):
        return StreamingResponse(
            as_events(words),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
    try:
        async for _ in words:
            pass
    except BodhiError as error:
        return await page(request, note, problem=error.message, status=error.status)
    return away(request, "note", note_id=note.id)


async def page(request: Request, note: Note | None = None, problem: str = "", status: int = 200) -> Response:
    state = request.state
    question = request.query_params.get("q", "").strip()[:LONGEST_TITLE]
    if question:
        search = await state.finder.find(state.bodhi, question)
    else:
        search = Search([Found(one) for one in await state.store.recent()])
    return templates.TemplateResponse(
        request,
        "page.html",
        {
            "note": note,
            "search": search,
            "question": question,
            "kept": f"?{urlencode({'q': question})}" if question else "",
            "problem": problem,
            "knows_meanings": state.finder.knows_meanings,
            "is_demo": state.settings.chat_model == "demo",
            "longest_title": LONGEST_TITLE,
            "longest_body": LONGEST_BODY,
            "path": lambda name, **params: request.url_for(name, **params).path,
        },
        status,
    )


async def note_of(request: Request) -> Note:
    note = await request.state.store.get(request.path_params["note_id"])
    if note is None:
        raise HTTPException(404, "There is no such note.")
    return note


async def form_of(request: Request) -> FormData:
    length = request.headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or int(length) > LARGEST_FORM:
        raise HTTPException(413, f"A form has at most {LARGEST_FORM} bytes, and says how many.")
    return await request.form()


def fields(form: FormData) -> tuple[str, str]:
    """Title and text of a form; a note without a title is called by its first words."""
    body = str(form.get("body", "")).replace("\r\n", "\n").strip()
    title = " ".join(str(form.get("title", "")).split()) or " ".join(body.split()[:6])
    if not title:
        raise HTTPException(422, "An empty note says nothing.")
    if len(title) > LONGEST_TITLE or len(body) > LONGEST_BODY:
        raise HTTPException(422, f"A title has at most {LONGEST_TITLE} characters, a note {LONGEST_BODY}.")
    return title, body


def away(request: Request, name: str, **params: int) -> Response:
    """To another page; new notes are read on the way, when the answer has gone out."""
    task = BackgroundTask(read_new, request)
    return RedirectResponse(request.url_for(name, **params).path, 303, background=task)


async def read_new(request: Request) -> None:
    """Make the vectors of new notes now. What fails here is done, and told, by the next search."""
    try:
        await request.state.finder.read_new(request.state.bodhi)
    except BodhiError:
        return
