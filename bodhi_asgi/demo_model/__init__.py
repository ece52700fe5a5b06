"""The embedded demo model: small enough to ship, real enough to answer. How it was made stands in ``demo_model/``."""

from pathlib import Path
from typing import Final

DEMO_MODEL_PATH: Final = Path(__file__).with_name("demo.gguf")
"""A GGUF file of a few megabytes: llama architecture, ChatML template with tools, MIT licence."""
