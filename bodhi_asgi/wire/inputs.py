"""Texts as OpenAI's dialects take them: one or several, each as text or as tokens."""

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from bodhi_asgi.messages.conversation import TextPrompt, TokenPrompt

TokenId: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Tokens: TypeAlias = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]


def _form_of(value: Any) -> str:
    """Which of the forms is meant, by the first item: a body of a million tokens is then read once and not four times.

    Named like types, which a path to a field leaves out.
    """
    if isinstance(value, list) and value:
        first = value[0]
        return "list[list[int]]" if isinstance(first, list) else "list[str]" if isinstance(first, str) else "list[int]"
    return "list[str]" if isinstance(value, list) else "str"


Input: TypeAlias = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("list[str]")]
    | Annotated[Tokens, Tag("list[int]")]
    | Annotated[list[Tokens], Field(min_length=1, fail_fast=True), Tag("list[list[int]]")],
    Discriminator(_form_of),
]


def prompts_of(given: Input) -> tuple[TextPrompt | TokenPrompt, ...]:
    """The neutral values, in their order."""
    if isinstance(given, str):
        return (TextPrompt(given),)
    if isinstance(given[0], int):
        return (TokenPrompt(tuple(given)),)
    return tuple(TextPrompt(one) if isinstance(one, str) else TokenPrompt(tuple(one)) for one in given)
