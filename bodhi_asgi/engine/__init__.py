"""Local inference: a continuous-batching scheduler over llama.cpp, in a process or a thread of its own."""
