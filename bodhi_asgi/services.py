"""Every service of one server, opened in floor order and closed in reverse.

What cannot be reached at start (the database) degrades: the rest opens, the part says why it is down, and it is tried
again.
"""

import asyncio
import logging
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.auth.gate import Gate
from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.downloads.service import DownloadService
from bodhi_asgi.downloads.steering import KIND
from bodhi_asgi.downloads.types import PullRequest
from bodhi_asgi.downloads.work import Downloader
from bodhi_asgi.engine.budget import default_budget
from bodhi_asgi.engine.pool import EnginePool, MakeThreadEngine, Watchers
from bodhi_asgi.engine.types import ModelFacts
from bodhi_asgi.errors import ConfigurationInvalid, Unavailable
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import EngineDied, ModelLoaded, ModelLoading, ModelUnloaded
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.place import place_of
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.inference.reading import ReadingService
from bodhi_asgi.inference.service import InferenceService
from bodhi_asgi.jobs.worker import Worker
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.models.aliases import AliasService
from bodhi_asgi.models.capabilities import capabilities_of
from bodhi_asgi.models.catalogue import CatalogueService
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.details import DetailsService
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.models.engines import EngineService
from bodhi_asgi.models.held import NamedFiles
from bodhi_asgi.models.service import ModelService
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.shelf.loaded import LoadedFiles
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.tokens.service import TokenService
from bodhi_asgi.wire.desk import Desk
from bodhi_asgi.wire.limits import RequestLimits

log = logging.getLogger(__name__)

RETRY_DATABASE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Services:
    """What is open while a server runs."""

    config: BodhiServerConfig
    clock: Clock
    events: EventBus
    meters: Meters
    database: Database
    audit: AuditService
    tokens: TokenService
    gate: Gate
    shelf: ShelfService
    hub: HubService
    aliases: AliasService
    catalogue: CatalogueService
    details: DetailsService
    downloads: DownloadService
    models: ModelService
    engines: EnginePool
    engine_management: EngineService
    inference: InferenceService
    reading: ReadingService
    limits: RequestLimits
    desk: Desk


def prepare_data_dir(path: Path) -> None:
    """Create the data directory with mode 0700. Raises ConfigurationInvalid in one sentence when that is impossible."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationInvalid(
            f"the data directory '{path}' cannot be created ({error.strerror}); set data_dir to one that can be",
            param="data_dir",
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationInvalid(
            f"the data directory '{path}' cannot be written; set data_dir to one that can", param="data_dir"
        )


async def open_services(
    stack: AsyncExitStack,
    config: BodhiServerConfig,
    identity: Identity | None,
    clock: Clock,
    thread_engine: MakeThreadEngine | None = None,
) -> Services:
    """Open every service; ``stack`` closes them in reverse. Raises ConfigurationInvalid for what no retry can mend."""
    await asyncio.to_thread(prepare_data_dir, config.data_dir)
    events = EventBus()
    stack.callback(events.close)
    meters = Meters()
    database = Database(
        config.resolved_database_url,
        pool_size=config.database.pool_size,
        timeout_s=config.database.timeout_s,
        schema_name=config.database.schema_name,
    )
    stack.push_async_callback(database.close)
    await _open_database(stack, database, config)
    audit = AuditService(database=database, clock=clock)
    tokens = TokenService(
        database=database,
        audit=audit,
        events=events,
        meters=meters,
        clock=clock,
        lifetime_days=config.tokens.lifetime_days,
    )
    gate = Gate(tokens=tokens, identity=identity, meters=meters, clock=clock)
    shelf = ShelfService(
        places(config.hub.cache_dir, config.shelf.folders),
        database=database,
        audit=audit,
        events=events,
        clock=clock,
        watch_s=config.shelf.watch_s,
        max_cache_bytes=config.shelf.max_cache_bytes,
        capable=lambda facts, projector: capabilities_of(facts, projector).names,
    )
    stack.push_async_callback(shelf.aclose)
    engines = EnginePool(
        isolation=config.engine.isolation,
        data_dir=config.data_dir,
        linger_s=config.engine.linger_s,
        start_timeout_s=config.engine.start_timeout_s,
        patience_s=config.engine.load_patience_s,
        watchers=_watchers(events, meters, shelf),
        thread_engine=thread_engine,
    )
    stack.push_async_callback(engines.aclose)
    await asyncio.to_thread(engines.prepare)
    cache = MemoryCache(max_entries=config.cache.max_entries, ttl_s=config.cache.ttl_s, clock=clock)
    hub = HubService(access=HubAccess.of(config.hub), cache=config.hub.cache_dir)
    stack.push_async_callback(hub.aclose)
    place = await asyncio.to_thread(place_of, config.hub.cache_dir, is_shared=database.dialect == "postgresql")
    downloads, worker = _downloads(config, hub, database, audit, events, meters, clock, shelf, place)
    shelf.ask(LoadedFiles(engines))
    limits = RequestLimits(**{field.name: getattr(config.limits, field.name) for field in fields(RequestLimits)})
    configured = ConfiguredModels(models=config.models, demo=config.demo, engine=config.engine, cache=cache)
    discovered = DiscoveredModels(shelf)
    aliases = AliasService(
        database=database,
        audit=audit,
        events=events,
        clock=clock,
        configured=configured,
        discovered=discovered,
        limits=limits,
        bring=lambda tx, caller, file: downloads.enqueue(
            tx, caller, PullRequest(file.repo, file.snapshot, file.filename)
        ),
    )
    shelf.ask(NamedFiles(configured=configured, aliases=aliases, discovered=discovered))
    shelf.start()  # only now: nothing is removed before everybody can be asked who needs it
    await stack.enter_async_context(worker)
    models = ModelService(configured=configured, aliases=aliases, discovered=discovered)
    management = EngineService(models=models, engines=engines, database=database, audit=audit)
    inference = InferenceService(
        models=models,
        engines=engines,
        meters=meters,
        clock=clock,
        deadline_s=config.engine.request_timeout_s,
    )
    reading = ReadingService(models=models, engines=engines, meters=meters, deadline_s=config.engine.request_timeout_s)
    desk = Desk()
    stack.push_async_callback(desk.close)
    return Services(
        config=config,
        clock=clock,
        events=events,
        meters=meters,
        database=database,
        audit=audit,
        tokens=tokens,
        gate=gate,
        shelf=shelf,
        hub=hub,
        aliases=aliases,
        catalogue=CatalogueService(
            database=database, aliases=aliases, configured=configured, discovered=discovered, shelf=shelf
        ),
        details=DetailsService(models=models, aliases=aliases, budget_bytes=lambda: budget_bytes(config)),
        downloads=downloads,
        models=models,
        engines=engines,
        engine_management=management,
        inference=inference,
        reading=reading,
        limits=limits,
        desk=desk,
    )


def _downloads(
    config: BodhiServerConfig,
    hub: HubService,
    database: Database,
    audit: AuditService,
    events: EventBus,
    meters: Meters,
    clock: Clock,
    shelf: ShelfService,
    place: str,
) -> tuple[DownloadService, Worker]:
    async def arrived() -> None:
        """What has just come is listed at once, and not when the folders are looked at again."""
        await shelf.look()

    downloader = Downloader(
        database=database,
        audit=audit,
        events=events,
        meters=meters,
        clock=clock,
        hub=hub,
        attempts=config.downloads.attempts,
        arrived=arrived,
    )
    worker = Worker(
        database=database,
        clock=clock,
        kind=KIND,
        run=downloader.run,
        parallel=config.downloads.parallel,
        place=place,
        beat_s=1.0,
        lease_s=6.0,
    )
    service = DownloadService(
        database=database,
        audit=audit,
        events=events,
        clock=clock,
        hub=hub,
        worker=worker,
        place=place,
        budget_bytes=lambda: budget_bytes(config),
        arrived=arrived,
    )
    return service, worker


def budget_bytes(config: BodhiServerConfig) -> int:
    """How much memory all models may take together. Blocking."""
    return config.engine.memory_bytes or default_budget()


def _watchers(events: EventBus, meters: Meters, shelf: ShelfService) -> Watchers:
    def died(model: str, reason: str) -> None:
        meters.engine_deaths.inc(1, model=model)
        events.publish(EngineDied(model, reason))

    def loaded(model: str, _: ModelFacts) -> None:
        events.publish(ModelLoaded(model))

    def unloaded(model: str, reason: str) -> None:
        meters.model_unloads.inc(1, model=model, reason=reason)
        events.publish(ModelUnloaded(model, reason))

    return Watchers(
        loading=lambda model, fraction: events.publish(ModelLoading(model, fraction)),
        loaded=loaded,
        unloaded=unloaded,
        died=died,
        wanted=lambda spec: shelf.note_use(spec.files),
    )


async def _open_database(stack: AsyncExitStack, database: Database, config: BodhiServerConfig) -> None:
    """Open and migrate; when the database cannot be reached, go on without it and keep trying."""

    async def attempt() -> None:
        await database.open()
        await database.migrate(config.migrations)

    async def keep_trying() -> None:
        while True:
            await asyncio.sleep(RETRY_DATABASE_S)
            with suppress(Unavailable):
                await attempt()
                log.info("the database is reachable again")
                return

    try:
        await attempt()
    except Unavailable as error:
        log.error("the database is not reachable; trying again", extra={"reason": error.message})
        retrying = asyncio.create_task(keep_trying(), name="bodhi-database-retry")

        async def stop() -> None:
            retrying.cancel()
            with suppress(asyncio.CancelledError):
                await retrying

        stack.push_async_callback(stop)
