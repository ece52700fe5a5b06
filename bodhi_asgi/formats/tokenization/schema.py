"""The shapes of ``POST /v1/tokenize``, ``/v1/detokenize`` and ``/v1/apply-template``.

Source: vLLM's OpenAI-compatible server for the first two, llama.cpp's server for the third; the text of a prompt is
called ``prompt`` in all of them.
"""

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, Field

from bodhi_asgi.validation import WireModel

ModelName: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=256, description="The name of a model or an alias.")
]
TokenId: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]


class TokenizeBody(WireModel):
    """A ``prompt``, or the ``messages`` of a conversation and its ``tools``, which the model's template renders first.

    For a prompt, ``add_special_tokens`` adds what the model begins and ends texts with, unless it is false, and
    ``parse_special`` takes the names of control tokens in it for the tokens themselves. ``return_token_strs`` gives the
    text of each token too.
    """

    model: ModelName
    prompt: Annotated[str | None, Field(description="A text.")] = None
    messages: Annotated[
        Annotated[list[dict[str, Any]], Field(min_length=1, fail_fast=True)] | None,
        Field(description="A conversation, which the model's template renders first."),
    ] = None
    tools: Annotated[
        Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None,
        Field(description="Tools that the template shows."),
    ] = None
    add_special_tokens: Annotated[
        bool | None,
        Field(
            description="Whether a prompt has what the model begins and ends texts with; true unless said otherwise."
        ),
    ] = None
    parse_special: Annotated[
        bool | None, Field(description="Whether names of control tokens in a prompt are the tokens themselves.")
    ] = None
    return_token_strs: Annotated[bool | None, Field(description="Give the text of each token too.")] = None


class TokenList(BaseModel):
    """The tokens of a prompt. ``max_model_len`` is how many the context holds, the answer included."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class TokenCount(BaseModel):
    """How many tokens a prompt has, and how many the context holds, the answer included."""

    count: int
    max_model_len: int


class DetokenizeBody(WireModel):
    """Tokens whose text is asked for."""

    model: ModelName
    tokens: Annotated[list[TokenId], Field(fail_fast=True, description="Tokens whose text is asked for.")]


class PromptText(BaseModel):
    """A prompt as text; control tokens stand in it by their names."""

    prompt: str
