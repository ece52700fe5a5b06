"""Model files in the GGUF format, as far as their headers tell: read with limits, checked, and sized up."""
