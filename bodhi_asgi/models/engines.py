"""The verbs on loaded models: which there are, load one, unload one. What is changed stands in the audit trail.

Engines belong to a data directory and not to one process: what is listed and unloaded here is everybody's.
"""

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller, ModelForbidden, Scope
from bodhi_asgi.db.database import Database
from bodhi_asgi.engine.pool import EnginePool
from bodhi_asgi.engine.types import EngineStatus
from bodhi_asgi.models.errors import ModelNotFound
from bodhi_asgi.models.service import ModelService


class EngineService:
    """Models in memory."""

    def __init__(self, *, models: ModelService, engines: EnginePool, database: Database, audit: AuditService) -> None:
        self._models = models
        self._engines = engines
        self._database = database
        self._audit = audit

    async def list(self, caller: Caller) -> list[EngineStatus]:
        """Loaded and loading models that the caller may know of, by name. Needs ``engines:read``."""
        caller.require(Scope.ENGINES_READ)
        return [status for status in await self._engines.engines() if caller.may_list(status.model)]

    async def load(self, caller: Caller, name: str, *, keep_alive_s: float | None = None) -> EngineStatus:
        """Load a model, or find it loaded, and have it stay for so long without work. Needs ``engines:write``.

        Raises ModelNotFound, ModelForbidden, and the errors of a load: NoRoomForModel, ModelLoadFailed, ModelDown.
        """
        caller.require(Scope.ENGINES_WRITE)
        spec = (await self._models.resolve(caller, name)).spec
        await self._record(caller, "engine.load", name)
        engine = await self._engines.engine(spec)
        if keep_alive_s is not None:
            await engine.keep(keep_alive_s)
        status = next((status for status in await self._engines.engines() if status.model == spec.name), None)
        return status or EngineStatus(key="", model=spec.name, state="leaving")

    async def unload(self, caller: Caller, name: str, *, force: bool = False) -> int:
        """Unload a model wherever it is loaded, and say how many engines there were. Needs ``engines:write``.

        Raises ModelNotFound for a name that is neither offered nor loaded, ModelForbidden, and EngineAtWork while it
        answers or loads, unless ``force`` ends that.
        """
        caller.require(Scope.ENGINES_WRITE)
        engine_name = await self._models.engine_name(caller, name)
        loaded = any(status.model == engine_name for status in await self._engines.engines())
        if not caller.may_list(name) or not (loaded or await self._models.offers(caller, name)):
            raise ModelNotFound(f"there is no model '{name}' that the caller may unload", param="model", model=name)
        if not caller.may_use(name):
            raise ModelForbidden(f"the caller has no grant to unload the model '{name}'", param="model", model=name)
        # Before it happens, so that nothing is unloaded unseen.
        await self._record(caller, "engine.unload", name, force=force)
        return await self._engines.unload(engine_name, force=force)

    async def _record(self, caller: Caller, action: str, name: str, **detail: bool) -> None:
        async with self._database.transaction() as tx:
            await self._audit.record(tx, caller, action, subject=name, detail=dict(detail))
