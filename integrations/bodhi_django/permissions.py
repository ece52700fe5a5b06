"""What Django's users may do here: everybody who is logged in, staff, members of groups; superusers everything.

Permissions add up: a user has those of every kind he is of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from bodhi_asgi import Caller, ConfigurationInvalid, Forbidden, Grants, Scope

ISSUER: Final = "django"
SPEECH: Final = frozenset({Scope.MODELS_READ, Scope.INFERENCE})
SIGHT: Final = frozenset({Scope.ENGINES_READ, Scope.HEALTH_READ, Scope.METRICS_READ, Scope.SETTINGS_READ})


@dataclass(frozen=True, slots=True)
class Permission:
    """Scopes, and the models they hold for: every one unless said otherwise."""

    scopes: frozenset[Scope] = frozenset()
    grants: Grants = field(default_factory=Grants)

    def __or__(self, other: "Permission") -> "Permission":
        mine, theirs = self.grants, other.grants
        both = Grants(
            models=mine.models | theirs.models,
            all_models=mine.all_models or theirs.all_models,
            list_models=mine.list_models or theirs.list_models,
        )
        return Permission(self.scopes | other.scopes, both)

    @classmethod
    def read(cls, value: Any, place: str) -> Self:
        """A list of scopes, or a dict with SCOPES and MODELS. Raises ConfigurationInvalid naming ``place``."""
        models: Any = None
        if isinstance(value, Mapping):
            strange = set(value) - {"SCOPES", "MODELS"}
            if strange:
                raise _refused(place, f"has {min(map(str, strange))!r}: SCOPES and MODELS are accepted")
            value, models = value.get("SCOPES", ()), value.get("MODELS")
        try:
            scopes = frozenset(Scope(scope) for scope in _texts(value))
        except (TypeError, ValueError):
            raise _refused(place, f"is {value!r}: a list of {', '.join(Scope)} is accepted") from None
        if not scopes:
            return cls()
        if models is None:
            return cls(scopes, Grants.everything())
        try:
            return cls(scopes, Grants(models=frozenset(_texts(models))))
        except TypeError:
            raise _refused(place, f"has the MODELS {models!r}: a list of names of models is accepted") from None


@dataclass(frozen=True, slots=True)
class Permissions:
    """Who may do what, by what Django knows of a user."""

    users: Permission = field(default_factory=lambda: Permission(SPEECH, Grants.everything()))
    staff: Permission = field(default_factory=lambda: Permission(SPEECH | SIGHT, Grants.everything()))
    groups: Mapping[str, Permission] = field(default_factory=dict)

    @classmethod
    def read(cls, users: Any, staff: Any, groups: Any) -> Self:
        """From ``BODHI["USERS"]``, ``["STAFF"]`` and ``["GROUPS"]``; None leaves the default."""
        own = cls()
        if groups is not None and not isinstance(groups, Mapping):
            raise _refused("GROUPS", f"is a {type(groups).__name__}: a dict by names of groups is accepted")
        return cls(
            own.users if users is None else Permission.read(users, "USERS"),
            own.staff if staff is None else Permission.read(staff, "STAFF"),
            {str(name): Permission.read(value, f"GROUPS.{name}") for name, value in (groups or {}).items()},
        )

    def caller_of(self, user: Any) -> Caller | None:
        """The caller that a user of Django is, None for one who is not logged in. Asks the database for groups.

        Raises Forbidden for a user who is not active.
        """
        if user is None or user.is_authenticated is not True:
            return None
        if not user.is_active:
            raise Forbidden("this user is not active")
        allowed = self._of(user)
        return Caller.user(
            str(user.pk), issuer=ISSUER, name=user.get_username(), scopes=allowed.scopes, grants=allowed.grants
        )

    def _of(self, user: Any) -> Permission:
        if getattr(user, "is_superuser", False):
            return Permission(frozenset(Scope), Grants.everything())
        allowed = self.users | self.staff if getattr(user, "is_staff", False) else self.users
        groups = getattr(user, "groups", None)
        if self.groups and groups is not None:
            for name in groups.values_list("name", flat=True):
                allowed |= self.groups.get(name, Permission())
        return allowed


def _texts(value: Any) -> Iterable[str]:
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return value


def _refused(place: str, why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"settings.BODHI[{place!r}] {why}", param=place)
