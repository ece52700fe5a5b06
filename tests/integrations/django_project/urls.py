"""Views of both kinds, and the server behind Django's own middleware."""

import threading

from django.contrib import admin
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


def ask(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.bodhi.chat_completion(HELLO, stream=False).text)


@non_atomic_requests
async def aask(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await request.bodhi.achat_completion(HELLO, stream=False)).text)


def who(request: HttpRequest) -> HttpResponse:
    caller = request.bodhi.for_request(request).caller()
    return JsonResponse({"id": caller.id, "scopes": sorted(caller.scopes)})


@non_atomic_requests
async def awho(request: HttpRequest) -> HttpResponse:
    caller = await request.bodhi.for_request(request).acaller()
    return JsonResponse({"id": caller.id, "scopes": sorted(caller.scopes)})


@non_atomic_requests
async def loaded(request: HttpRequest) -> HttpResponse:
    models = await request.bodhi.aloaded_models()
    return JsonResponse({"busy": [model.running for model in models.data]})


@non_atomic_requests
async def threads(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"threads": threading.active_count()})


urlpatterns = [
    path("threads", threads),
    path("ask", ask),
    path("aask", aask),
    path("who", who),
    path("awho", awho),
    path("loaded", loaded),
    path("admin/", admin.site.urls),
    path("bodhi/", include("bodhi_django.urls")),
]
