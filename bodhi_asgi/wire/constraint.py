"""What an answer has to be, as the fields that every dialect for local models shares.

``response_format`` is OpenAI's, the names that begin with ``guided_`` are vLLM's, ``grammar`` is llama.cpp's. What is
in them is judged by the engine, where it is compiled; here stands only which of them may go together.
"""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.generation import Constraint, ConstraintKind
from bodhi_asgi.validation import WireModel

FIELDS: Final = ("response_format", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "grammar")


class JsonSchemaFormat(WireModel):
    """A schema with a name. It is enforced whatever ``strict`` says; the name and description are not shown to the
    model.
    """

    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None
    description: Annotated[str, Field(max_length=4096)] | None = None


class ResponseFormat(WireModel):
    """The form of the answer; ``json_schema`` goes with the type of that name."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class GuidedOptions(WireModel):
    """Options that hold an answer to a form; at most one of them may ask for something."""

    response_format: Annotated[
        ResponseFormat | None,
        Field(description="The form of the answer: text, json_object, or json_schema with a schema."),
    ] = None
    guided_json: Annotated[
        dict[str, Any] | str | None,
        Field(description="A JSON schema that the answer satisfies, as an object or as text."),
    ] = None
    guided_regex: Annotated[str | None, Field(description="An expression that the whole answer matches.")] = None
    guided_choice: Annotated[
        Annotated[list[str], Field(fail_fast=True)] | None, Field(description="Texts, one of which is the answer.")
    ] = None
    guided_grammar: Annotated[str | None, Field(description="A Lark grammar, as llguidance reads it.")] = None
    grammar: Annotated[str | None, Field(description="A grammar in the notation of llama.cpp (GBNF).")] = None


def constraint_of(wire: GuidedOptions) -> Constraint | None:
    """The neutral value. Raises Invalid for fields that exclude each other."""
    given = [found for name in FIELDS if (found := _constraint(wire, name)) is not None]
    if len(given) > 1:
        raise Invalid(
            f"'{given[1].param}' and '{given[0].param}' both say what the answer has to be; give one of them",
            param=given[1].param,
        )
    return given[0] if given else None


def _constraint(wire: GuidedOptions, name: str) -> Constraint | None:
    value = getattr(wire, name)
    if value is None:
        return None
    match name:
        case "response_format":
            return _of_format(value)
        case "guided_json":
            source = value if isinstance(value, str) else orjson.dumps(value).decode()
            return Constraint(ConstraintKind.JSON_SCHEMA, source, name)
        case "guided_choice":
            return Constraint(ConstraintKind.CHOICE, orjson.dumps(value).decode(), name)
        case "guided_regex":
            return Constraint(ConstraintKind.REGEX, value, name)
        case "guided_grammar":
            return Constraint(ConstraintKind.LARK, value, name)
        case _:
            return Constraint(ConstraintKind.GBNF, value, name)


def _of_format(wire: ResponseFormat) -> Constraint | None:
    if wire.type == "json_schema":
        if wire.json_schema is None:
            raise Invalid(
                "'response_format.json_schema' is required with the type 'json_schema'",
                param="response_format.json_schema",
            )
        source = orjson.dumps(wire.json_schema.schema_).decode()
        return Constraint(ConstraintKind.JSON_SCHEMA, source, "response_format.json_schema.schema")
    if wire.json_schema is not None:
        raise Invalid(
            f"'response_format.json_schema' goes with the type 'json_schema', and the type is '{wire.type}'",
            param="response_format.json_schema",
        )
    return Constraint(ConstraintKind.JSON_OBJECT, param="response_format") if wire.type == "json_object" else None
