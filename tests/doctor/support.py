"""What the tests of the doctor share."""

from pathlib import Path
from typing import Any

from bodhi_asgi import BodhiServerConfig, Diagnosis, Finding, diagnose
from bodhi_asgi.demo_model import DEMO_MODEL_PATH


def settings(data_dir: Path, **others: Any) -> BodhiServerConfig:
    """Settings with the deterministic runner, on a port that nobody is likely to have."""
    engine = {"runner": "echo", **others.pop("engine", {})}
    return BodhiServerConfig(data_dir=data_dir, engine=engine, **others)


async def examined(config: BodhiServerConfig, **options: Any) -> Diagnosis:
    """A diagnosis without an engine unless ``model`` or ``with_engine`` says so."""
    options.setdefault("with_engine", "model" in options)
    return await diagnose(config, **options)


def only(diagnosis: Diagnosis, check: str, subject: str = "") -> Finding:
    """The one finding of this check about this subject."""
    (finding,) = diagnosis.of(check, subject)
    return finding


def cut_off(folder: Path, bytes_kept: int) -> Path:
    """The beginning of the demo model, as a download that broke off leaves it."""
    file = folder / "half.gguf"
    file.write_bytes(DEMO_MODEL_PATH.read_bytes()[:bytes_kept])
    return file
