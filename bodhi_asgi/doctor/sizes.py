"""Bytes and durations as people read them."""

from typing import Final

UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")
KILO: Final = 1000


def size(count: float) -> str:
    """``1_500_000`` as ``1.5 MB``: thousands, as disks and files are sold."""
    unit = 0
    while abs(count) >= KILO and unit < len(UNITS) - 1:
        count /= KILO
        unit += 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {UNITS[unit]}"


def duration(seconds: float) -> str:
    """Milliseconds below a second, seconds above."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
