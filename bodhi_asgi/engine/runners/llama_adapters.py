"""LoRA adapters of a loaded llama.cpp model: looked at before they are loaded, and put in force for a step.

What of an adapter's header contradicts the model's ends the process in the middle of a step, or is found by llama.cpp
after much has been loaded; so it is all compared before.
"""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp

from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.plan import AdapterSet
from bodhi_asgi.engine.types import AdapterSpec, ModelSpec
from bodhi_asgi.gguf.adapters import check_adapter
from bodhi_asgi.gguf.types import GgufInvalid


class LlamaAdapters:
    """The adapters of one model, and which of them are in force now."""

    def __init__(self) -> None:
        self._loaded: list[Any] = []
        self._in_force: AdapterSet = ()

    def load(self, model: Any, spec: ModelSpec) -> None:
        """Load every adapter of ``spec``. Raises ModelLoadFailed naming the adapter and what is wrong with it."""
        for adapter in spec.adapters:
            try:
                check_adapter(Path(adapter.path), Path(spec.path))
            except OSError as error:
                raise _refused(spec, adapter, f"the file '{adapter.path}' cannot be read: {error.strerror}") from None
            except GgufInvalid as error:
                raise _refused(spec, adapter, error.message) from None
            loaded = llama_cpp.llama_adapter_lora_init(model, adapter.path.encode())
            if not loaded:
                raise _refused(spec, adapter, "llama.cpp refuses it; its log has the reason")
            self._loaded.append(loaded)

    def apply(self, context: Any, adapters: AdapterSet) -> None:
        """Put exactly these in force."""
        if adapters == self._in_force:
            return
        count = len(adapters)
        chosen = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*(self._loaded[index] for index, _ in adapters))
        scales = (ctypes.c_float * count)(*(scale for _, scale in adapters))
        llama_cpp.llama_set_adapters_lora(context, chosen, count, scales)
        self._in_force = adapters

    def free(self) -> None:
        """Release them; after the context and before the model. Idempotent."""
        for loaded in self._loaded:
            llama_cpp.llama_adapter_lora_free(loaded)
        self._loaded.clear()
        self._in_force = ()


def _refused(spec: ModelSpec, adapter: AdapterSpec, reason: str) -> ModelLoadFailed:
    return ModelLoadFailed(
        f"the adapter '{adapter.name}' of the model '{spec.name}' cannot be loaded: {reason}", model=spec.name
    )
