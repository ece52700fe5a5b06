"""Who asks, and what they may do.

``auth`` establishes the caller; every public verb receives it as its first argument and asks it. Nothing is allowed
that is not in ``scopes`` and ``grants``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from bodhi_asgi.errors import Forbidden


class Scope(StrEnum):
    """One permission. The names used on the wire are another vocabulary, translated at the route."""

    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    INFERENCE = "inference"
    TOKENS_READ = "tokens:read"
    TOKENS_WRITE = "tokens:write"
    ENGINES_READ = "engines:read"
    ENGINES_WRITE = "engines:write"
    HEALTH_READ = "health:read"
    METRICS_READ = "metrics:read"
    SETTINGS_READ = "settings:read"
    AUDIT_READ = "audit:read"


class CallerKind(StrEnum):
    """How the caller came in."""

    HOST = "host"  # the surrounding application itself
    USER = "user"  # a person the host's identity callback vouches for
    TOKEN = "token"  # noqa: S105  an API token
    SYSTEM = "system"  # the command line and our own housekeeping


class ScopeMissing(Forbidden):
    """The caller lacks a permission; ``scope`` names it."""

    code = "scope_missing"


class ModelForbidden(Forbidden):
    """The caller may see this model and has no grant to use it."""

    code = "token_grant_error-model_forbidden"
    openai_code = "model_forbidden"


@dataclass(frozen=True, slots=True)
class Grants:
    """Which models a caller may list and use. The default is none.

    ``models`` holds request-facing ids, case-sensitive; ``all_models`` grants every one. ``list_models`` shows all
    entries in lists, locked ones included; a specifically granted model is always shown.
    """

    models: frozenset[str] = frozenset()
    all_models: bool = False
    list_models: bool = False

    @classmethod
    def everything(cls) -> Self:
        """Every model, listed and usable."""
        return cls(all_models=True, list_models=True)

    def may_use(self, model_id: str) -> bool:
        return self.all_models or model_id in self.models

    def may_list(self, model_id: str) -> bool:
        return self.list_models or self.may_use(model_id)


@dataclass(frozen=True, slots=True)
class Caller:
    """The one who asks. ``id`` is unique across issuers (``issuer:id`` for users, the token's id for tokens).

    ``owner_id`` is whom things belong to: for an API token the caller who created it, for everybody else themselves.
    """

    id: str
    name: str
    kind: CallerKind = CallerKind.USER
    scopes: frozenset[Scope] = frozenset()
    grants: Grants = field(default_factory=Grants)
    owner_id: str = ""

    def __post_init__(self) -> None:
        if not self.owner_id:
            object.__setattr__(self, "owner_id", self.id)

    @property
    def share(self) -> str:
        """For whom turns are counted: the person behind it all, a token that nobody else stands behind, or nobody.

        Empty for the application itself, which speaks for everybody.
        """
        if self.kind in (CallerKind.HOST, CallerKind.SYSTEM):
            return ""
        return self.id if self.owner_id in (CallerKind.HOST, CallerKind.SYSTEM) else self.owner_id

    @classmethod
    def host(cls) -> Self:
        """The host application: inference, reading, and management of its own tokens."""
        return cls("host", "host", CallerKind.HOST, frozenset(Scope), Grants.everything())

    @classmethod
    def system(cls) -> Self:
        """The command line and housekeeping on the machine itself."""
        return cls("system", "system", CallerKind.SYSTEM, frozenset(Scope), Grants.everything())

    @classmethod
    def user(
        cls,
        id: str,  # noqa: A002
        *,
        issuer: str = "host",
        name: str = "",
        scopes: Iterable[Scope | str] = (Scope.MODELS_READ, Scope.INFERENCE),
        grants: Grants | None = None,
    ) -> Self:
        """A person whom the host vouches for: reading and using every model unless said otherwise.

        ``issuer`` keeps two hosts that share a data directory apart. Raises ``ValueError`` for an unknown scope or
        empty id.
        """
        if not id:
            raise ValueError("a caller needs an id that is not empty")
        return cls(
            f"{issuer}:{id}",
            name or id,
            CallerKind.USER,
            frozenset(Scope(scope) for scope in scopes),
            Grants.everything() if grants is None else grants,
        )

    def require(self, scope: Scope) -> None:
        """Raise :class:`ScopeMissing` unless the caller has ``scope``."""
        if scope not in self.scopes:
            raise ScopeMissing(f"this needs the permission '{scope}', which the caller does not have", scope=str(scope))

    def may_use(self, model_id: str) -> bool:
        return self.grants.may_use(model_id)

    def may_list(self, model_id: str) -> bool:
        return self.grants.may_list(model_id)

    def limited_to(self, scopes: Iterable[Scope]) -> Self:
        """The same caller with no more than ``scopes``."""
        return replace(self, scopes=self.scopes & frozenset(scopes))
