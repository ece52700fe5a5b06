"""The host's users are the server's users: one callback, and everybody sees and uses what they were granted.

    uvicorn examples.fastapi_app:app
    curl -H 'X-Session: ada' http://127.0.0.1:8000/models
    curl -H 'X-Session: ada' -H 'Content-Type: application/json' http://127.0.0.1:8000/bodhi/v1/chat/completions \
      -d '{"model": "demo", "messages": [{"role": "user", "content": "What is the capital of France?"}]}'
"""

from fastapi import FastAPI, Request
from starlette.requests import HTTPConnection

from bodhi_asgi import BodhiApp, Caller, Grants
from bodhi_fastapi import BodhiDep

SESSIONS = {  # yours would be a session store; the header keeps the example short
    "ada": Caller.user("ada"),
    "bob": Caller.user("bob", grants=Grants()),  # known, and granted no model
}


async def who(connection: HTTPConnection) -> Caller | None:
    return SESSIONS.get(connection.headers.get("x-session", ""))


bodhi_app = BodhiApp(identity=who)
app = FastAPI(lifespan=bodhi_app.lifespan)
app.mount("/bodhi", bodhi_app)


@app.get("/models")
async def models(request: Request, bodhi: BodhiDep) -> list[str]:
    mine = await bodhi.for_request(request).list_models()
    return [model.id for model in mine.data]
