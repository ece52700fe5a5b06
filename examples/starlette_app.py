"""A view that streams the model's words as plain text, in a Starlette application.

uvicorn examples.starlette_app:app
curl -N 'http://127.0.0.1:8000/ask?q=What+is+3+plus+4%3F'
"""

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from bodhi_asgi import BodhiApp, ChatCompletionStream


async def ask(request: Request) -> StreamingResponse:
    question = [{"role": "user", "content": request.query_params.get("q", "Hello!")}]
    answer = await request.state.bodhi.chat_completion({"model": "demo", "messages": question}, stream=True)
    return StreamingResponse(words(answer), media_type="text/plain")


async def words(answer: ChatCompletionStream) -> AsyncIterator[str]:
    async with answer:  # a reader who leaves stops the model
        async for chunk in answer:
            for choice in chunk.choices:
                yield choice.delta.content or ""


app = Starlette(routes=[Route("/ask", ask)])
BodhiApp().install(app, "/bodhi")
