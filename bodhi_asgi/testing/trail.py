"""What tests of a host need beside its answers: a token to come in with, and the audit trail.

Each once for asynchronous tests, and once (``…_now``) for those that are not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.caller import Caller, Grants, Scope
from bodhi_asgi.testing.stand import Hosted, server_of

T = TypeVar("T")

PAGE = 100


async def bearer(
    of: Hosted, *models: str, scopes: Iterable[Scope | str] = (Scope.MODELS_READ, Scope.INFERENCE)
) -> dict[str, str]:
    """The header of a new API token, which may use these models; without any, all."""
    grants = Grants(models=frozenset(models)) if models else Grants.everything()
    created = await server_of(of).create_api_token("test", scopes=scopes, grants=grants)
    return {"Authorization": f"Bearer {created.token.reveal()}"}


async def audit_trail(of: Hosted) -> list[AuditRow]:
    """All rows of the audit trail, oldest first."""
    services = await server_of(of).lifecycle.ensure_started()
    rows: list[AuditRow] = []
    while True:
        page = await services.audit.list(Caller.system(), page=1 + len(rows) // PAGE, page_size=PAGE)
        rows += page.data
        if len(rows) >= page.total:
            return rows[::-1]


def bearer_now(
    of: Hosted, *models: str, scopes: Iterable[Scope | str] = (Scope.MODELS_READ, Scope.INFERENCE)
) -> dict[str, str]:
    """As :func:`bearer`, in a test that is not asynchronous."""
    return now(of, lambda: bearer(of, *models, scopes=scopes))


def audit_trail_now(of: Hosted) -> list[AuditRow]:
    """As :func:`audit_trail`, in a test that is not asynchronous."""
    return now(of, lambda: audit_trail(of))


def assert_audited(
    rows: Sequence[AuditRow],
    action: str,
    *,
    who: str | None = None,
    subject: str | None = None,
    outcome: Outcome = Outcome.DONE,
) -> AuditRow:
    """Return the last row that tells of this, or raise AssertionError with all that there are."""
    for row in reversed(rows):
        is_by = who is None or row.caller_id == who
        is_about = subject is None or row.subject == subject
        if row.action == action and is_by and is_about and row.outcome == outcome:
            return row
    wanted = {"action": action, "who": who, "subject": subject, "outcome": str(outcome)}
    told = ", ".join(f"{name}={value!r}" for name, value in wanted.items() if value is not None)
    lines = (f"  {row.caller_id} {row.action} {row.subject!r} ({row.outcome})" for row in rows)
    raise AssertionError(
        "\n".join([f"the audit trail has no row with {told}", "It has:", *(list(lines) or ["  nothing"])])
    )


def now(of: Hosted, verb: Callable[[], Awaitable[T]]) -> T:
    """Await ``verb()`` where the server runs; where it does not, it is started for that only."""
    server = server_of(of)

    async def alone() -> T:
        try:
            return await verb()
        finally:
            await server.shutdown()

    async def there() -> T:
        return await verb()

    loop = server.lifecycle.loop
    return asyncio.run(alone()) if loop is None else asyncio.run_coroutine_threadsafe(there(), loop).result()
