"""What Django's admin lists and its permissions name: API tokens and the audit trail, which our services keep.

Nothing is stored, asked or migrated by Django for them; ``view_apitoken`` and ``view_auditentry`` are permissions that
its admin gives out.
"""

from typing import Any

from django.db import models


class NothingStored(models.Manager):  # type: ignore[misc]  # Django has no types
    """Finds nothing without asking a database, for commands that go through all models, such as ``dumpdata``."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Kept(models.Model):  # type: ignore[misc]  # Django has no types
    """Something that is kept by our services."""

    objects = NothingStored()

    class Meta:
        abstract = True
        managed = False
        default_permissions = ("view",)
        base_manager_name = "objects"


class ApiToken(Kept):
    """A credential of a program."""

    id = models.CharField(primary_key=True, max_length=26)

    class Meta(Kept.Meta):
        verbose_name = "API token"


class AuditEntry(Kept):
    """Something that was changed or refused."""

    number = models.BigIntegerField(primary_key=True)

    class Meta(Kept.Meta):
        verbose_name_plural = "audit entries"
