"""The verbs on tokens: create, list, get, update, revoke, and verify a secret."""

import hmac
from datetime import timedelta
from typing import Final

from bodhi_asgi.audit.service import AuditService, check_page
from bodhi_asgi.caller import Caller, CallerKind, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.facts import installation_id
from bodhi_asgi.db.search import check_search, one_of
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import TokenCreated, TokenRevoked, TokenUpdated
from bodhi_asgi.ids import new_id
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.tokens import format as token_format
from bodhi_asgi.tokens import store
from bodhi_asgi.tokens.errors import (
    PrivilegeEscalation,
    TokenExpired,
    TokenInactive,
    TokenInvalid,
    TokenNotFound,
    TokensNotForTokens,
)
from bodhi_asgi.tokens.types import CreatedToken, Token, TokenSpec, TokenStatus
from bodhi_asgi.types import JSONObject, Page

MAX_NAME: Final = 100
MAX_DAYS: Final = 3650
MAX_GRANTED: Final = 1000
TOUCH_EVERY: Final = timedelta(minutes=1)
NOBODYS_HASH: Final = "0" * 64


class TokenService:
    """API tokens. Callers see their own; the command line on the machine sees all."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        meters: Meters,
        clock: Clock,
        lifetime_days: int,
    ) -> None:
        self._database = database
        self._audit = audit
        self._events = events
        self._meters = meters
        self._clock = clock
        self._lifetime_days = lifetime_days

    async def create(self, caller: Caller, spec: TokenSpec) -> CreatedToken:
        """A new token; the secret is in the answer and nowhere else.

        Needs ``tokens:write``. Raises Invalid naming the field, PrivilegeEscalation for more than the caller has, and
        TokensNotForTokens for an API token.
        """
        await self._require(caller, Scope.TOKENS_WRITE, "token.create")
        name = check_name(spec.name)
        days = self._lifetime_days if spec.expires_in_days is None else spec.expires_in_days
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"'expires_in_days' is {days}: from 1 to {MAX_DAYS} is accepted", param="expires_in_days")
        if len(spec.grants.models) > MAX_GRANTED:
            raise Invalid(f"'grants' names more than {MAX_GRANTED} models", param="grants")
        await self._check_privileges(caller, spec)
        now = self._clock.now()
        async with self._database.transaction() as tx:
            secret = token_format.make(await installation_id(tx))
            parsed = token_format.parse(secret.reveal())
            assert parsed is not None, "a new token is well formed"
            token = Token(
                id=new_id(),
                owner_id=caller.owner_id,
                name=name,
                prefix=parsed.prefix,
                status=TokenStatus.ACTIVE,
                scopes=spec.scopes,
                grants=spec.grants,
                expires_at=now + timedelta(days=days),
                last_used_at=None,
                created_at=now,
                updated_at=now,
            )
            await store.add(tx, token, parsed.hash)
            detail: JSONObject = {"name": name, "scopes": [str(scope) for scope in sorted(spec.scopes)]}
            await self._audit.record(tx, caller, "token.create", subject=token.id, detail=detail)
            tx.after_commit(lambda: self._events.publish(TokenCreated(token.id, token.owner_id)))
        return CreatedToken(secret, token)

    async def list(
        self,
        caller: Caller,
        *,
        page: int = 1,
        page_size: int = 30,
        search: str = "",
        status: TokenStatus | str | None = None,
    ) -> Page[Token]:
        """The caller's tokens, newest first, at most 100 a page. Needs ``tokens:read``.

        ``search`` is part of a name or an owner. Raises Invalid naming the parameter.
        """
        await self._require(caller, Scope.TOKENS_READ, "token.list")
        check_page(page, page_size)
        check_search(search)
        wanted = one_of(TokenStatus, status, "status")
        offset = (page - 1) * page_size
        async with self._database.reading() as tx:
            tokens, total = await store.page(
                tx, _owner(caller), offset=offset, limit=page_size, search=search, status=wanted
            )
        return Page(tokens, total, page, page_size)

    async def get(self, caller: Caller, token_id: str) -> Token:
        """One of the caller's tokens. Needs ``tokens:read``. Raises TokenNotFound."""
        await self._require(caller, Scope.TOKENS_READ, "token.get")
        async with self._database.reading() as tx:
            token = await store.get(tx, token_id, _owner(caller))
        if token is None:
            raise _not_found(token_id)
        return token

    async def update(
        self, caller: Caller, token_id: str, *, name: str | None = None, status: TokenStatus | None = None
    ) -> Token:
        """Rename a token, or switch it off and on. A revoked one stays revoked. Needs ``tokens:write``."""
        await self._require(caller, Scope.TOKENS_WRITE, "token.update")
        if status is TokenStatus.REVOKED:
            raise Invalid("'status' is 'revoked': delete the token to revoke it", param="status")
        values = {} if name is None else {"name": check_name(name)}
        return await self._change(caller, token_id, "token.update", TokenUpdated(token_id), status, values)

    async def revoke(self, caller: Caller, token_id: str) -> Token:
        """End a token at once and for good; its row stays. Idempotent. Needs ``tokens:write``."""
        await self._require(caller, Scope.TOKENS_WRITE, "token.revoke")
        event = TokenRevoked(token_id)
        return await self._change(caller, token_id, "token.revoke", event, TokenStatus.REVOKED, {})

    async def verify(self, text: str) -> Caller:
        """Who presents this secret. The secret is proven before anything about the token is said.

        Raises TokenInvalid, TokenInactive, or TokenExpired; what is refused is counted.
        """
        try:
            caller = await self._verify(text)
        except (TokenInvalid, TokenInactive, TokenExpired) as error:
            self._meters.token_verifications.inc(1, outcome=error.code)
            raise
        self._meters.token_verifications.inc(1, outcome="valid")
        return caller

    async def _verify(self, text: str) -> Caller:
        parsed = token_format.parse(text)
        if parsed is None:
            raise TokenInvalid("the API token is not valid")
        async with self._database.reading() as tx:
            found = await store.by_prefix(tx, parsed.prefix)
        # An unknown token is compared as well, so that the time taken says nothing.
        expected = NOBODYS_HASH if found is None else found[1]
        if not hmac.compare_digest(parsed.hash, expected) or found is None:
            raise TokenInvalid("the API token is not valid")
        token = found[0]
        if token.status is not TokenStatus.ACTIVE:
            raise TokenInactive(f"the API token is {token.status}")
        now = self._clock.now()
        if token.expires_at <= now:
            raise TokenExpired(f"the API token expired at {token.expires_at:%Y-%m-%dT%H:%M:%SZ}; create a new one")
        if token.last_used_at is None or now - token.last_used_at >= TOUCH_EVERY:
            async with self._database.transaction() as tx:
                await store.touch(tx, token.id, now, now - TOUCH_EVERY)
        return Caller(
            id=f"token:{token.id}",
            name=token.name,
            kind=CallerKind.TOKEN,
            scopes=token.scopes,
            grants=token.grants,
            owner_id=token.owner_id,
        )

    async def _change(
        self,
        caller: Caller,
        token_id: str,
        action: str,
        event: TokenUpdated | TokenRevoked,
        status: TokenStatus | None,
        values: dict[str, str],
    ) -> Token:
        async with self._database.transaction() as tx:
            token = await store.get(tx, token_id, _owner(caller), to_change=True)
            if token is None:
                raise _not_found(token_id)
            if status is not None and token.status is not TokenStatus.REVOKED:
                values = {**values, "status": status.value}
            if values:
                await store.change(tx, token_id, self._clock.now(), **values)
                await self._audit.record(tx, caller, action, subject=token_id, detail=dict(values))
                tx.after_commit(lambda: self._events.publish(event))
            changed = await store.get(tx, token_id, None)
        assert changed is not None, "tokens are never deleted"
        return changed

    async def _check_privileges(self, caller: Caller, spec: TokenSpec) -> None:
        more = sorted(spec.scopes - caller.scopes)
        grants = spec.grants
        beyond = grants.all_models and not caller.grants.all_models
        beyond = beyond or (grants.list_models and not caller.grants.list_models)
        models = sorted(model for model in grants.models if not caller.may_use(model))
        if more or beyond or models:
            await self._audit.refused(caller, "token.create")
            what = f"the permission '{more[0]}'" if more else f"the model '{models[0]}'" if models else "every model"
            raise PrivilegeEscalation(f"the token would have {what}, which its creator has not", param="scopes")

    async def _require(self, caller: Caller, scope: Scope, action: str) -> None:
        if caller.kind is CallerKind.TOKEN:
            await self._audit.refused(caller, action)
            raise TokensNotForTokens("an API token cannot manage tokens; use your own login or 'bodhi token'")
        if scope not in caller.scopes:
            await self._audit.refused(caller, action)
        caller.require(scope)


def check_name(name: str) -> str:
    """A token's name: 1 to 100 characters without control characters, outer spaces removed. Raises Invalid."""
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Invalid(
            f"'name' has {len(name)} characters: from 1 to {MAX_NAME} printable ones are accepted", param="name"
        )
    return name


def _owner(caller: Caller) -> str | None:
    """Whose tokens the caller sees; None for all."""
    return None if caller.kind is CallerKind.SYSTEM else caller.owner_id


def _not_found(token_id: str) -> TokenNotFound:
    return TokenNotFound(f"there is no token '{token_id[:40]}'", param="id")
