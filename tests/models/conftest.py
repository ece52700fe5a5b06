"""The family of models on a real database and a real shelf, with a cache of files that hold next to nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.clock import StillClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.models.aliases import AliasService
from bodhi_asgi.models.capabilities import capabilities_of
from bodhi_asgi.models.catalogue import CatalogueService
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.models.held import NamedFiles
from bodhi_asgi.models.service import ModelService
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.wire.limits import RequestLimits
from tests.gguf.files import model_bytes
from tests.shelf.hub_cache import HubCache

MODEL = model_bytes()
"""A header that can be read, and no weights worth mentioning."""


@dataclass
class Family:
    """Everything that has to do with names of models."""

    aliases: AliasService
    catalogue: CatalogueService
    models: ModelService
    audit: AuditService
    events: EventBus
    clock: StillClock
    hub: HubCache
    folder: Path
    shelf: ShelfService


@pytest.fixture
async def family(url: str, tmp_path: Path) -> AsyncIterator[Family]:
    """One model in the settings (``small``), one in the cache (``owner/repo:Q4_K_M``), a folder with one more."""
    small, folder, clock, events = tmp_path / "small.gguf", tmp_path / "shelf", StillClock(), EventBus()
    small.write_bytes(MODEL)
    folder.mkdir()
    (folder / "other-Q8_0.gguf").write_bytes(MODEL)
    hub = HubCache(tmp_path / "hub")
    hub.add("owner/repo", "model-Q4_K_M.gguf", MODEL, ref="main")
    database = Database(url, timeout_s=5)
    await database.open()
    await database.migrate("auto")
    audit = AuditService(database=database, clock=clock)
    shelf = ShelfService(
        places(hub.path, [folder]),
        database=database,
        audit=audit,
        events=events,
        clock=clock,
        watch_s=3600,
        capable=lambda facts, projector: capabilities_of(facts, projector).names,
    )
    shelf.start()
    cache = MemoryCache(max_entries=10, ttl_s=60, clock=clock)
    engine = EngineSettings(n_batch=64)
    configured = ConfiguredModels(models={"small": str(small)}, demo=True, engine=engine, cache=cache)
    discovered = DiscoveredModels(shelf)
    aliases = AliasService(
        database=database,
        audit=audit,
        events=events,
        clock=clock,
        configured=configured,
        discovered=discovered,
        limits=RequestLimits(),
    )
    models = ModelService(configured=configured, aliases=aliases, discovered=discovered)
    shelf.ask(NamedFiles(configured=configured, aliases=aliases, discovered=discovered))
    catalogue = CatalogueService(
        database=database, aliases=aliases, configured=configured, discovered=discovered, shelf=shelf
    )
    yield Family(aliases, catalogue, models, audit, events, clock, hub, folder, shelf)
    await shelf.aclose()
    await database.close()
