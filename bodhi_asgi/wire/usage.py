"""Tokens read and written, in the shape that OpenAI's dialects share."""

from pydantic import BaseModel

from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.types import JSONObject


class PromptTokensDetails(BaseModel):
    """What is known of the tokens read."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """Of the tokens written, how many were thoughts."""

    reasoning_tokens: int


class UsageShape(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionDetails


def usage_shape(usage: Usage) -> JSONObject:
    """``usage`` as plain data of that shape."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
