"""Free space where the data is written and where the models lie."""

import os
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.doctor.case import Case, blocking
from bodhi_asgi.doctor.models import model_files
from bodhi_asgi.doctor.places import standing
from bodhi_asgi.doctor.sizes import size
from bodhi_asgi.doctor.types import Finding, failed, ok, warning

CHECK: Final = "disk"
LEAST_BYTES: Final = 50 * 1000 * 1000
LITTLE_BYTES: Final = 1000 * 1000 * 1000


@blocking
def examine(case: Case) -> list[Finding]:
    """One finding for the data directory, and one for each folder of models that lies on another file system."""
    data = standing(case.config.data_dir)
    findings = [_written(data)]
    seen = {data.stat().st_dev}
    if case.config.engine.runner == "llama":
        for folder in {file.path.parent: None for file in model_files(case.config) if file.path is not None}:
            device = folder.stat().st_dev
            if device not in seen:
                seen.add(device)
                findings.append(_read(folder))
    return findings


def _written(folder: Path) -> Finding:
    found = os.statvfs(folder)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    told = f"{size(free)} free of {size(total)} at {folder}"
    facts: dict[str, Any] = {
        "path": str(folder),
        "free_bytes": free,
        "total_bytes": total,
        "free_files": found.f_favail,
    }
    if found.f_files and not found.f_favail:
        advice = "Delete files nobody needs, or set data_dir to another file system."
        return failed(CHECK, f"{told}, but no file can be added (no inodes left)", advice, subject="data_dir", **facts)
    if free < LEAST_BYTES:
        advice = f"Make room for {size(LITTLE_BYTES)} or more, or set data_dir to another file system."
        return failed(CHECK, told, advice, subject="data_dir", **facts)
    if free < LITTLE_BYTES:
        advice = f"Keep {size(LITTLE_BYTES)} free; a database that runs out of space stops taking requests."
        return warning(CHECK, told, advice, subject="data_dir", **facts)
    return ok(CHECK, told, subject="data_dir", **facts)


def _read(folder: Path) -> Finding:
    """Nothing of ours is written beside the models, so that little space is worth a word and no more."""
    found = os.statvfs(folder)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    told = f"{size(free)} free of {size(total)} at {folder}"
    facts: dict[str, Any] = {"path": str(folder), "free_bytes": free, "total_bytes": total}
    if free < LITTLE_BYTES and not found.f_flag & os.ST_RDONLY:
        advice = "Make room before you put another model there."
        return warning(CHECK, told, advice, subject="models", **facts)
    return ok(CHECK, told, subject="models", **facts)
