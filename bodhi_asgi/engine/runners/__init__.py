"""What computes tokens: llama.cpp, a deterministic echo, and one that misbehaves on request."""
