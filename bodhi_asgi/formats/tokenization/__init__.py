"""Tokens of texts and texts of tokens, in vLLM's words, and llama.cpp's for templates: schema, decode, encode."""
