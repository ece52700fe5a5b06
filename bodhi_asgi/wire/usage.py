"""Tokens read and written, in the shape that OpenAI's dialects share."""

from pydantic import BaseModel

from bodhi_asgi.messages import Usage


class UsageShape(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def usage_shape(usage: Usage) -> dict[str, int]:
    """``usage`` as plain data of that shape."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
