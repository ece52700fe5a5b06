"""Finds the notes that mean what somebody looks for, whatever words they use, in a Starlette application.

BODHI_MODELS=minilm=/models/all-MiniLM-L6-v2.gguf uvicorn examples.semantic_search:app
curl 'http://127.0.0.1:8000/find?q=my+kittens+purr'
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bodhi_asgi import BodhiApp

MODEL = "minilm"
NOTES = (
    "The cat purrs on my paws.",
    "Bread bakes in the oven.",
    "Thunder and rain from the clouds.",
    "The train is at the station.",
)


async def find(request: Request) -> JSONResponse:
    texts = [request.query_params.get("q", "hello"), *NOTES]
    found = await request.state.bodhi.embeddings({"model": MODEL, "input": texts})
    asked, *notes = (vector.embedding for vector in found.data)
    # Vectors have length one, so the sum of products is the cosine: near 1 for texts of one meaning.
    likeness = [sum(a * b for a, b in zip(asked, note, strict=True)) for note in notes]
    order = sorted(range(len(NOTES)), key=lambda index: -likeness[index])
    return JSONResponse([{"note": NOTES[index], "likeness": round(likeness[index], 3)} for index in order])


app = Starlette(routes=[Route("/find", find)])
BodhiApp().install(app, "/bodhi")
