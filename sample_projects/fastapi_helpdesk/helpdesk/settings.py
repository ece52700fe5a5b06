"""What can be set, all of it in the environment; every value has one that works."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """``HELPDESK_DATABASE`` and ``HELPDESK_MODEL``, the name of a model that can call tools (``bodhi list``)."""

    database: Path = Path("helpdesk.db")
    model: str = "demo"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        default = cls()
        return cls(
            database=Path(environment.get("HELPDESK_DATABASE") or default.database),
            model=environment.get("HELPDESK_MODEL") or default.model,
        )
