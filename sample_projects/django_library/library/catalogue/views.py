"""The pages. The catalogue is open to everybody; a model is asked only for those who signed in."""

from asgiref.sync import sync_to_async
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from bodhi_asgi import BodhiError
from library.catalogue.librarian import MOST_BOOKS, answered, as_events
from library.catalogue.models import Book, Question
from library.catalogue.search import find

PAGE = 24
STREAM, HTML = "text/event-stream", "text/html"


class QuestionForm(forms.ModelForm):
    """What a reader asks."""

    class Meta:
        model = Question
        fields = ("text",)


@login_not_required
@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """All books, or those that fit what is looked for."""
    question = request.GET.get("q", "").strip()[:200]
    if question:
        found = find(question, PAGE, request.bodhi.for_request(request) if request.user.is_authenticated else None)
        context = {"books": found.books, "remark": found.remark}
    else:
        context = {"books": Paginator(Book.objects.all(), PAGE).get_page(request.GET.get("page"))}
    return render(request, "catalogue/catalogue.html", {"question": question, **context})


@login_not_required
@require_safe
def book(request: HttpRequest, pk: int) -> HttpResponse:
    """One book."""
    return render(request, "catalogue/book.html", {"book": get_object_or_404(Book, pk=pk)})


@require_safe
def talk(request: HttpRequest) -> HttpResponse:
    """The reader's conversation with the librarian."""
    context = {
        "questions": request.user.questions.prefetch_related("books"),
        "form": QuestionForm(),
        "is_demo": settings.CHAT_MODEL == "demo",
    }
    return render(request, "catalogue/talk.html", context)


@require_POST
async def ask(request: HttpRequest) -> HttpResponseBase:
    """Stream the answer to a script that asks for events; a plain form waits, and gets the page."""
    form = QuestionForm(request.POST)
    if not form.is_valid():
        return HttpResponse(form.errors["text"][0], status=422, content_type="text/plain")
    reader, text, bodhi = await request.auser(), form.cleaned_data["text"], request.bodhi.for_request(request)
    books = (await sync_to_async(find)(text, MOST_BOOKS, bodhi)).books
    words = answered(bodhi, reader, text, books)
    if request.get_preferred_type([HTML, STREAM]) == STREAM:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingHttpResponse(as_events(words, books), content_type=STREAM, headers=headers)
    try:
        async for _ in words:
            pass
    except BodhiError as error:
        messages.error(request, error.message)
    return redirect("talk")


@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Remove the reader's questions and their answers."""
    request.user.questions.all().delete()
    return redirect("talk")
