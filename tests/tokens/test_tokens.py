"""API tokens as a service: what may be made, who sees what, and how long it is believed."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller, Forbidden, Grants, Scope
from bodhi_asgi.clock import StillClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import BodhiError, Invalid, NotFound
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.tokens import format as token_format
from bodhi_asgi.tokens.errors import (
    PrivilegeEscalation,
    TokenExpired,
    TokenInactive,
    TokenInvalid,
    TokensNotForTokens,
)
from bodhi_asgi.tokens.service import MAX_GRANTED, MAX_NAME, TOUCH_EVERY, TokenService
from bodhi_asgi.tokens.tables import TOKENS
from bodhi_asgi.tokens.types import TokenSpec, TokenStatus
from bodhi_asgi.tokens.wire import grants_from_wire, grants_to_wire
from tests.conftest import numbers
from tests.neighbours.postgres import Cluster
from tests.neighbours.waiting import held

USE = frozenset({Scope.MODELS_READ, Scope.INFERENCE})
MANAGE = frozenset({Scope.TOKENS_READ, Scope.TOKENS_WRITE})
ANN = Caller.user("ann", scopes=USE | MANAGE, grants=Grants(models=frozenset({"a", "b"})))
BOB = Caller.user("bob", scopes=USE | MANAGE, grants=Grants(models=frozenset({"a"})))
SYSTEM = Caller.system()
DAY = timedelta(days=1)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, timeout_s=5)
    await database.open()
    await database.migrate("auto")
    yield database
    await database.close()


@pytest.fixture
def tokens(database: Database, clock: StillClock) -> TokenService:
    audit = AuditService(database=database, clock=clock)
    return TokenService(
        database=database, audit=audit, events=EventBus(), meters=Meters(), clock=clock, lifetime_days=90
    )


async def actions(tokens: TokenService) -> list[str]:
    page = await tokens._audit.list(SYSTEM, page_size=100)
    return [f"{row.action} {row.outcome}" for row in reversed(page.data)]


async def test_a_token_is_believed_for_what_it_was_made_for(tokens: TokenService) -> None:
    created = await tokens.create(ANN, TokenSpec("  my script ", scopes=USE, grants=Grants(models=frozenset({"a"}))))
    caller = await tokens.verify(created.token.reveal())
    assert (caller.name, caller.owner_id, caller.scopes) == ("my script", ANN.id, USE)
    assert caller.may_use("a")
    assert not caller.may_use("b")
    assert await actions(tokens) == ["token.create done"]


async def test_the_secret_is_nowhere_but_in_the_answer(tokens: TokenService, database: Database) -> None:
    created = await tokens.create(ANN, TokenSpec("x"))
    secret = created.token.reveal()
    assert re.fullmatch(r"sk-bodhiapp_[\w-]{49}\.[\w-]+", secret)
    assert secret not in repr(created)
    random = secret.removeprefix("sk-bodhiapp_")[8:43]
    async with database.reading() as tx:
        (row,) = await tx.fetch_all(select(TOKENS))
        kept = repr([getattr(row, column.name) for column in TOKENS.c])
    assert random not in kept
    assert created.record.prefix in kept


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1), "a\nb", "\u200bzero", "bell\x07"])
async def test_a_name_is_short_and_printable(tokens: TokenService, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        await tokens.create(ANN, TokenSpec(name))
    assert refused.value.param == "name"


@pytest.mark.parametrize("days", [0, -1, 3651])
async def test_a_lifetime_has_limits(tokens: TokenService, days: int) -> None:
    with pytest.raises(Invalid, match="from 1 to 3650") as refused:
        await tokens.create(ANN, TokenSpec("x", expires_in_days=days))
    assert refused.value.param == "expires_in_days"


async def test_grants_have_a_limit(tokens: TokenService) -> None:
    many = Grants(models=frozenset(map(str, range(MAX_GRANTED + 1))))
    with pytest.raises(Invalid, match="more than 1000") as refused:
        await tokens.create(SYSTEM, TokenSpec("x", grants=many))
    assert refused.value.param == "grants"


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (TokenSpec("x", scopes=USE | {Scope.AUDIT_READ}), "the permission"),
        (TokenSpec("x", grants=Grants(models=frozenset({"b"}))), "the model 'b'"),
        (TokenSpec("x", grants=Grants(all_models=True)), "every model"),
        (TokenSpec("x", grants=Grants(list_models=True)), "every model"),
    ],
)
async def test_nobody_gives_what_they_have_not(tokens: TokenService, spec: TokenSpec, what: str) -> None:
    with pytest.raises(PrivilegeEscalation, match=what):
        await tokens.create(BOB, spec)
    assert await actions(tokens) == ["token.create refused"]
    assert (await tokens.list(SYSTEM)).total == 0


async def test_a_token_manages_no_tokens_and_neither_does_who_may_not(tokens: TokenService) -> None:
    created = await tokens.create(SYSTEM, TokenSpec("x", scopes=USE | MANAGE))
    caller = await tokens.verify(created.token.reveal())
    with pytest.raises(TokensNotForTokens):
        await tokens.create(caller, TokenSpec("y"))
    with pytest.raises(TokensNotForTokens):
        await tokens.revoke(caller, created.record.id)
    with pytest.raises(Forbidden):
        await tokens.create(Caller.user("cyd"), TokenSpec("y"))
    assert (await actions(tokens))[1:] == ["token.create refused", "token.revoke refused", "token.create refused"]


async def test_people_see_their_own_and_the_command_line_sees_all(tokens: TokenService, clock: StillClock) -> None:
    for owner, name in ((ANN, "one"), (BOB, "two"), (ANN, "three")):
        await tokens.create(owner, TokenSpec(name))
        clock.advance(1)
    assert [token.name for token in (await tokens.list(ANN)).data] == ["three", "one"]
    page = await tokens.list(SYSTEM, page=2, page_size=2)
    assert (page.total, [token.name for token in page.data]) == (3, ["one"])
    assert [token.name for token in (await tokens.list(SYSTEM, search="THR")).data] == ["three"]
    assert [token.name for token in (await tokens.list(SYSTEM, search="host:bob")).data] == ["two"]
    assert [token.name for token in (await tokens.list(ANN, search="one", status="active")).data] == ["one"]
    assert [(await tokens.list(SYSTEM, search=search)).total for search in ("%", "_", "/")] == [0, 0, 0]
    assert (await tokens.list(SYSTEM, status=TokenStatus.REVOKED)).total == 0
    for wrong, param in (
        ({"status": "gone"}, "status"),
        ({"search": "x" * 201}, "search"),
        ({"search": "\n"}, "search"),
    ):
        with pytest.raises(Invalid) as raised:
            await tokens.list(SYSTEM, **wrong)  # type: ignore[arg-type]
        assert raised.value.param == param
    (of_bob,) = (await tokens.list(BOB)).data
    with pytest.raises(NotFound):
        await tokens.get(ANN, of_bob.id)
    with pytest.raises(NotFound):
        await tokens.revoke(ANN, of_bob.id)
    assert (await tokens.get(SYSTEM, of_bob.id)).name == "two"


async def test_a_token_expires_on_its_day(tokens: TokenService, clock: StillClock) -> None:
    short = await tokens.create(ANN, TokenSpec("x", expires_in_days=1))
    usual = await tokens.create(ANN, TokenSpec("y"))
    assert usual.record.expires_at - clock.now() == 90 * DAY
    clock.advance(DAY.total_seconds() - 1)
    await tokens.verify(short.token.reveal())
    clock.advance(1)
    with pytest.raises(TokenExpired, match="expired at"):
        await tokens.verify(short.token.reveal())
    await tokens.verify(usual.token.reveal())


async def test_switched_off_is_for_a_while_and_revoked_for_good(tokens: TokenService) -> None:
    created = await tokens.create(ANN, TokenSpec("x"))
    secret, token_id = created.token.reveal(), created.record.id
    off = await tokens.update(ANN, token_id, status=TokenStatus.INACTIVE, name="renamed")
    assert (off.name, off.status) == ("renamed", TokenStatus.INACTIVE)
    with pytest.raises(TokenInactive, match="inactive"):
        await tokens.verify(secret)
    await tokens.update(ANN, token_id, status=TokenStatus.ACTIVE)
    await tokens.verify(secret)
    with pytest.raises(Invalid, match="delete the token") as refused:
        await tokens.update(ANN, token_id, status=TokenStatus.REVOKED)
    assert refused.value.param == "status"
    for _ in range(2):
        assert (await tokens.revoke(ANN, token_id)).status is TokenStatus.REVOKED
    assert (await tokens.update(ANN, token_id, status=TokenStatus.ACTIVE)).status is TokenStatus.REVOKED
    with pytest.raises(TokenInactive, match="revoked"):
        await tokens.verify(secret)


async def test_the_secret_is_proven_before_anything_is_said(tokens: TokenService) -> None:
    created = await tokens.create(ANN, TokenSpec("x"))
    await tokens.revoke(ANN, created.record.id)
    secret = created.token.reveal()
    other = token_format.make(secret.rpartition(".")[2]).reveal()
    # The same beginning, by which it is found, and another end.
    forged = secret[: len("sk-bodhiapp_") + 8] + other[len("sk-bodhiapp_") + 8 :]
    body, _, installation = forged.removeprefix("sk-bodhiapp_").partition(".")
    forged = f"sk-bodhiapp_{body[:43]}{token_format._checksum(body[:43])}.{installation}"
    said = set()
    for text in (forged, other, secret[:-1], secret.upper(), "sk-bodhiapp_", "", "x" * 10_000, secret + "\n"):
        with pytest.raises(TokenInvalid) as refused:
            await tokens.verify(text)
        said.add(refused.value.message)
    assert said == {"the API token is not valid"}


async def test_last_use_is_written_at_most_once_a_minute(tokens: TokenService, clock: StillClock) -> None:
    created = await tokens.create(ANN, TokenSpec("x"))

    async def used() -> object:
        return (await tokens.get(ANN, created.record.id)).last_used_at

    assert await used() is None
    await tokens.verify(created.token.reveal())
    first = await used()
    clock.advance(TOUCH_EVERY.total_seconds() - 1)
    await tokens.verify(created.token.reveal())
    assert await used() == first
    clock.advance(1)
    await tokens.verify(created.token.reveal())
    assert await used() != first


async def test_a_token_that_is_revoked_while_another_server_switches_it_on_stays_revoked(
    postgres: Cluster, clock: StillClock
) -> None:
    url = postgres.create(f"tokens{next(numbers)}")
    database = Database(url, timeout_s=60)
    await database.open()
    await database.migrate("auto")
    audit = AuditService(database=database, clock=clock)
    tokens = TokenService(
        database=database, audit=audit, events=EventBus(), meters=Meters(), clock=clock, lifetime_days=90
    )
    try:
        made = (await tokens.create(ANN, TokenSpec("x"))).record
        async with held(url, TOKENS, TOKENS.c.id == made.id) as row:
            revoking = asyncio.create_task(tokens.revoke(ANN, made.id))
            await row.until(1, release=False)
            changing = asyncio.create_task(tokens.update(ANN, made.id, status=TokenStatus.ACTIVE))
            await row.until(2)
        assert (await revoking).status is TokenStatus.REVOKED
        assert (await changing).status is TokenStatus.REVOKED
        assert (await tokens.get(ANN, made.id)).status is TokenStatus.REVOKED
    finally:
        await database.close()


async def test_a_change_that_is_not_audited_does_not_happen(
    tokens: TokenService, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await tokens.create(ANN, TokenSpec("x"))

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no room for the audit row")

    monkeypatch.setattr("bodhi_asgi.audit.store.append", fail)
    with pytest.raises(RuntimeError):
        await tokens.revoke(ANN, created.record.id)
    monkeypatch.undo()
    assert (await tokens.get(ANN, created.record.id)).status is TokenStatus.ACTIVE


@pytest.mark.parametrize(
    "grants",
    [Grants(), Grants.everything(), Grants(all_models=True), Grants(models=frozenset({"a", "b"}), list_models=True)],
)
def test_grants_travel_as_they_are(grants: Grants) -> None:
    there = grants_to_wire(grants)
    assert grants_from_wire(there) == replace(grants, models=frozenset() if grants.all_models else grants.models)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"version": "2"},
        {"version": "1", "models": []},
        {"version": "1", "models": {"type": "some"}},
        {"version": "1", "models": {"type": "specific", "ids": "a"}},
        {"version": "1", "models": {"type": "specific", "ids": [1]}},
    ],
)
def test_nothing_is_granted_by_accident(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="grant"):
        grants_from_wire(data)


def test_every_refusal_has_a_code_of_its_own() -> None:
    kinds: list[type[BodhiError]] = [TokenInvalid, TokenExpired, TokenInactive, TokensNotForTokens, PrivilegeEscalation]
    assert len({kind.code for kind in kinds}) == len(kinds)
