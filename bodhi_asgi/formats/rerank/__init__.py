"""The rerank dialect that Jina, Cohere and llama.cpp's server have in common: schema, decode, encode."""
