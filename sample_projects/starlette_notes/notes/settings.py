"""What can be set, all of it in the environment; every value has one that works."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """``chat_model`` and ``embedding_model`` are names that bodhi knows: ``bodhi list`` shows them.

    Without ``embedding_model`` notes are found by their words. ``hosts`` are the names under which the page may be
    asked for, so that no page of somebody else reaches it through a name of their own.
    """

    database: Path = Path("notes.db")
    chat_model: str = "demo"
    embedding_model: str = ""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """``NOTES_DATABASE``, ``NOTES_CHAT_MODEL``, ``NOTES_EMBEDDING_MODEL``, ``NOTES_HOSTS`` (with commas)."""
        default = cls()
        hosts = environment.get("NOTES_HOSTS", "")
        return cls(
            database=Path(environment.get("NOTES_DATABASE") or default.database),
            chat_model=environment.get("NOTES_CHAT_MODEL") or default.chat_model,
            embedding_model=environment.get("NOTES_EMBEDDING_MODEL") or default.embedding_model,
            hosts=tuple(name.strip() for name in hosts.split(",") if name.strip()) or default.hosts,
        )
