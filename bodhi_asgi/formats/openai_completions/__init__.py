"""The OpenAI completions dialect: schema, decode, encode."""
