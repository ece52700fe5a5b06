"""The section ``hub``: where models come from, with which token, and where they are kept.

What huggingface_hub's own variables say counts too, below everything that names us: somebody who has set up
``HF_HOME`` or a mirror means all his programs.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from bodhi_asgi.settings import checks
from bodhi_asgi.settings.section import Section
from bodhi_asgi.types import Secret

ENDPOINT: Final = "https://huggingface.co"
TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})


def default_cache_dir() -> Path:
    """Where huggingface_hub keeps its files when nothing is set."""
    return Path("~/.cache/huggingface/hub").expanduser()


class HubSettings(Section):
    """The Hugging Face hub and the cache of its files."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    endpoint: Annotated[str, Field(description="The hub's address, or a mirror's; else HF_ENDPOINT.")] = ENDPOINT
    token: Annotated[
        Secret | None,
        BeforeValidator(checks.secret),
        Field(
            description="Token for gated and private repositories; else HF_TOKEN. It goes to the endpoint's own host "
            "only, and without encryption only to the loopback interface."
        ),
    ] = None
    proxy: Annotated[
        Secret | None,
        BeforeValidator(checks.proxy),
        Field(
            description="A proxy for all requests to the hub: http://host:port, or http://user:password@host:port. "
            "Proxies of the environment are not used."
        ),
    ] = None
    cache_dir: Annotated[
        Path,
        Field(
            default_factory=default_cache_dir,
            description="Where files of the hub are kept, shared with huggingface_hub; else HF_HUB_CACHE, or hub below "
            "HF_HOME.",
        ),
    ]
    mode: Annotated[
        Literal["online", "offline"],
        Field(
            description="Offline, nothing is asked of the hub, and what is in the cache is used; else HF_HUB_OFFLINE."
        ),
    ] = "online"
    answer_timeout_s: Annotated[
        float, Field(gt=0, le=600, description="Seconds to wait for a connection or an answer of the hub.")
    ] = 15
    stall_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds a download may stand still before it is taken up anew.")
    ] = 30
    low_speed_limit: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000_000,
            description="Bytes a second: a download that is slower for hub.stall_timeout_s is taken up anew. 0 sets no "
            "limit.",
        ),
    ] = 1024
    retries: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Attempts in a row without a new byte, or too slow, after which a download is given up.",
        ),
    ] = 5

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        return checks.public_url(value)

    @field_validator("cache_dir")
    @classmethod
    def _check_cache_dir(cls, value: Path) -> Path:
        return checks.data_dir(value)


def borrowed(environ: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """What huggingface_hub's variables say of our settings: by setting, the variable and its value."""
    found: dict[str, tuple[str, Any]] = {}
    set_ = {name: value.strip() for name, value in environ.items() if value.strip()}
    for setting, variable in (("endpoint", "HF_ENDPOINT"), ("token", "HF_TOKEN")):
        if variable in set_:
            found[setting] = variable, set_[variable]
    if set_.get("HF_HUB_OFFLINE", "").upper() in TRUE:
        found["mode"] = "HF_HUB_OFFLINE", "offline"
    places = {"HF_HUB_CACHE": "", "HUGGINGFACE_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}
    for variable, below in places.items():
        if variable in set_:
            found["cache_dir"] = variable, os.path.expandvars(set_[variable]) + (f"/{below}" if below else "")
            break
    return found
