"""The OpenAI embeddings dialect: schema, decode, encode."""
