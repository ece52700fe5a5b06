"""The OpenAI chat completions dialect: schema, decode, encode, errors."""
