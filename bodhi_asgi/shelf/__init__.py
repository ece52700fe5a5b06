"""The model files on this machine: found, listed, described, kept within a size, and removed."""
