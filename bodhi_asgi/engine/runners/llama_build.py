"""What the installed llama.cpp says of itself, as one line of JSON: ``python -m`` this module, in a process of its own.

Importing a build that was made for another processor ends the process (SIGILL), so nobody imports this into a host.
"""

import json
import sys

import llama_cpp


def describe() -> dict[str, object]:
    """Version of the bindings, the text of ``llama_print_system_info``, and whether layers can go to a GPU."""
    return {
        "version": llama_cpp.__version__,
        "system_info": llama_cpp.llama_print_system_info().decode(errors="replace"),
        "gpu_offload": bool(llama_cpp.llama_supports_gpu_offload()),
    }


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(describe())}\n")
