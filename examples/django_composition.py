"""Django and the server side by side in one ASGI application, and a Django view that asks the model.

    uvicorn examples.django_composition:application
    curl 'http://127.0.0.1:8000/ask?q=What+is+3+plus+4%3F'

A whole Django project in one file; in yours, only the last line is new, in ``asgi.py``.
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bodhi_asgi import BodhiApp, get_bodhi

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(32).hex(),
)


async def ask(request: HttpRequest) -> HttpResponse:
    question = [{"role": "user", "content": request.GET.get("q", "Hello!")}]
    reply = await get_bodhi(request).chat_completion({"model": "demo", "messages": question}, stream=False)
    return HttpResponse(reply.choices[0].message.content, content_type="text/plain")


urlpatterns = [path("ask", ask)]
application = BodhiApp().wrap(get_asgi_application(), "/bodhi")
