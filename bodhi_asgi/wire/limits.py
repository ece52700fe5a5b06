"""How much one request may ask for, whatever dialect it is written in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Sizes of strings are in UTF-8 bytes. The settings under ``limits`` have the same names."""

    messages: int = 2048
    choices: int = 8
    prompts: int = 16
    stop_strings: int = 16
    stop_bytes: int = 256
    logit_bias: int = 1024
    tools: int = 128
    inputs: int = 2048
    documents: int = 1000
    images: int = 4
    image_bytes: int = 10 * 1024 * 1024
    image_pixels: int = 20_000_000
