"""What the processor can do: the features llama.cpp has code for, by llama.cpp's names, and the number of cores."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
TOPOLOGY: Final = Path("/sys/devices/system/cpu")

FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pni": "SSE3",
        "ssse3": "SSSE3",
        "avx": "AVX",
        "avx2": "AVX2",
        "avx_vnni": "AVX_VNNI",
        "f16c": "F16C",
        "fma": "FMA",
        "bmi2": "BMI2",
        "avx512f": "AVX512",
        "avx512vbmi": "AVX512_VBMI",
        "avx512_vnni": "AVX512_VNNI",
        "avx512_bf16": "AVX512_BF16",
        "amx_int8": "AMX_INT8",
        "asimd": "NEON",
        "asimdhp": "FP16_VA",
        "asimddp": "DOTPROD",
        "i8mm": "MATMUL_INT8",
        "sve": "SVE",
        "sme": "SME",
    }
)
"""The kernel's name of a feature, and the one under which ``llama_print_system_info`` reports that its code uses it."""

FLAG_LINE: Final = re.compile(r"^(?:flags|Features)\s*:\s*(.*)$", re.MULTILINE)
REPORTED: Final = re.compile(r"(\w+) = (\d+)")


def features_of_machine(cpuinfo: Path = CPUINFO) -> set[str] | None:
    """The features of this processor, by llama.cpp's names; None where the system does not tell."""
    try:
        found = FLAG_LINE.search(cpuinfo.read_text("utf-8", "replace"))
    except OSError:
        return None
    return None if found is None else {FLAGS[flag] for flag in found[1].split() if flag in FLAGS}


def features_of_build(system_info: str) -> set[str]:
    """Everything that ``llama_print_system_info`` reports as used, processor features and others."""
    return {name for name, value in REPORTED.findall(system_info) if value != "0"}


def physical_cores(topology: Path = TOPOLOGY) -> int | None:
    """Cores that are not two threads of one; None where the system does not tell."""
    groups = set()
    for siblings in topology.glob("cpu[0-9]*/topology/thread_siblings_list"):
        try:
            groups.add(siblings.read_text().strip())
        except OSError:
            return None
    return len(groups) or None
