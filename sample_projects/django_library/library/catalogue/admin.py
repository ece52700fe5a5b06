"""What librarians do: keep the catalogue, and have the model write the sentence that a book is introduced with."""

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from bodhi_asgi import BodhiError
from library.catalogue.models import Book

INSTRUCTIONS = "Introduce the book in one short sentence. Answer with the sentence and nothing else."
MOST_AT_ONCE = 10

admin.site.site_header = admin.site.site_title = "Library"


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    """Books, with an action that asks the model as the librarian who chose it."""

    list_display = ("title", "author", "year", "shelf", "blurb")
    search_fields = ("title", "author", "about")
    actions = ("write_blurbs",)

    @admin.action(description=f"Have blurbs written by the model, {MOST_AT_ONCE} at once", permissions=["change"])
    def write_blurbs(self, request: HttpRequest, books: QuerySet[Book]) -> None:
        bodhi = request.bodhi.for_request(request)
        for book in books[:MOST_AT_ONCE]:
            said = [
                {"role": "system", "content": INSTRUCTIONS},
                {"role": "user", "content": f"{book.title} by {book.author}. {book.about}"},
            ]
            try:
                answer = bodhi.chat_completion(
                    {"model": settings.CHAT_MODEL, "messages": said, "max_tokens": 80, "temperature": 0}, stream=False
                )
            except BodhiError as error:
                self.message_user(request, f"{book}: {error.message}", messages.ERROR)
                return
            book.blurb = Truncator(" ".join(answer.text.split())).chars(300)
            book.save()
        self.message_user(request, "The blurbs are written. Read them before others do.", messages.SUCCESS)
