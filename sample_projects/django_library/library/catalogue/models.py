"""Books, and what readers asked about them."""

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse


class Book(models.Model):
    """A book on a shelf. Its vector is what an embedding model made of it, to be found by what it is about."""

    title = models.CharField(max_length=200)
    author = models.CharField(max_length=200)
    year = models.SmallIntegerField("first published in")
    shelf = models.CharField(max_length=20)
    about = models.TextField(max_length=5000)
    blurb = models.CharField(
        max_length=300, blank=True, help_text="One sentence for the list. The model writes it: see the actions there."
    )
    vector = models.BinaryField(default=b"", editable=False)
    vector_model = models.CharField(max_length=200, default="", editable=False)

    class Meta:
        ordering = ("title", "pk")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("book", args=[self.pk])

    def save(self, **kwargs: Any) -> None:
        """Forget the vector too: the next search by meaning makes it anew."""
        self.vector_model = ""
        super().save(**kwargs)


class Question(models.Model):
    """What a reader asked and what the model said, from which books. Only he sees it, so it is not in the admin."""

    reader = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="questions")
    text = models.CharField(max_length=500)
    answer = models.TextField()
    books = models.ManyToManyField(Book)
    asked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.text
