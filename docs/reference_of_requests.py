"""The pages of the reference that tell what requests may say, and how families of models are read.

Both are made of what decodes requests and reads answers, so that a parameter or family without a word here is none.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

Table = Callable[[Iterable[str], Iterable[Iterable[object]]], str]
ANY_JSON = {"object": "an object", "string": "text", "boolean": "true or false", "null": ""}


def parameters(table: Table) -> str:
    from bodhi_asgi.formats.openai_chat.decode import NEUTRAL, UNSUPPORTED
    from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
    from bodhi_asgi.formats.openai_completions.schema import CompletionRequest
    from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingsRequest
    from bodhi_asgi.formats.rerank.schema import RerankBody
    from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, TokenizeBody
    from bodhi_asgi.models.params import RequestParams

    answers = {"chat": ChatCompletionRequest, "completions": CompletionRequest, "alias": RequestParams}
    others = {
        "Embeddings: `/v1/embeddings`": EmbeddingsRequest,
        "Rerank: `/v1/rerank`": RerankBody,
        "Tokens: `/v1/tokenize`, `/v1/apply-template`": TokenizeBody,
        "Texts of tokens: `/v1/detokenize`": DetokenizeBody,
    }
    parts = [
        "What bodies may say, the same over HTTP and in direct calls. `null` counts as absent. A number is not taken\n"
        "for text, nor text for a number. What is not listed is refused with 400 `unknown_parameter`; what is out of\n"
        "range, or contradicts another parameter, with 400; `param` names the field. Limits on sizes and counts that\n"
        "are settings stand under [limits](settings.md#limits). An alias may have in store what is marked so.\n\n"
        "## Answers\n\n`/v1/chat/completions`, `/v1/completions`, and the parameters of an alias.",
        table(
            ("Parameter", "Accepted", "When absent", "Chat", "Completions", "Alias", "Meaning"),
            answers_rows(answers, defaults()),
        ),
    ]
    for title, model in others.items():
        rows = (
            (f"`{name}`", accepted_of([model], name), required_of([model], name), meaning_of([model], name))
            for name in fields_of(model)
        )
        parts.append(f"## {title}\n\n" + table(("Parameter", "Accepted", "When absent", "Meaning"), rows))
    refused = [(f"`{name}`", " or ".join(code_of(value) for value in values)) for name, values in NEUTRAL.items()]
    refused += [(f"`{name}`", "no value") for name in sorted(UNSUPPORTED)]
    parts.append(
        "## Refused by name\n\nOpenAI has these for chat completions. They are refused with 400 "
        "`unsupported_parameter`, unless their value asks\nfor nothing.\n\n"
        + table(("Parameter", "Accepted all the same"), refused)
    )
    return "\n\n".join(parts)


def defaults() -> Mapping[str, str]:
    """What holds where a request says nothing, from the places that hold it."""
    from bodhi_asgi.engine import dry, sampler
    from bodhi_asgi.formats.openai_completions.decode import DEFAULT_MAX_TOKENS

    known: dict[str, object] = {
        "temperature": sampler.DEFAULT_TEMPERATURE,
        "top_k": sampler.DEFAULT_TOP_K,
        "top_p": sampler.DEFAULT_TOP_P,
        "min_p": sampler.DEFAULT_MIN_P,
        "penalty_last_n": sampler.DEFAULT_PENALTY_LAST_N,
        "repeat_last_n": sampler.DEFAULT_PENALTY_LAST_N,
        "mirostat_tau": sampler.DEFAULT_TAU,
        "mirostat_eta": sampler.DEFAULT_ETA,
        "xtc_threshold": sampler.DEFAULT_XTC_THRESHOLD,
        "dry_base": dry.DEFAULT_BASE,
        "dry_allowed_length": dry.DEFAULT_ALLOWED_LENGTH,
        "dry_penalty_last_n": dry.DEFAULT_LAST_N,
        "n": 1,
        "best_of": "n",
    }
    off = ("typical_p", "repeat_penalty", "frequency_penalty", "presence_penalty", "mirostat", "dry_multiplier")
    off += ("xtc_probability", "top_n_sigma", "dynatemp_range", "repetition_penalty")
    return {
        **dict.fromkeys(off, "off"),
        **{name: f"`{value}`" for name, value in known.items()},
        "max_tokens": f"chat: as many as fit; completions: `{DEFAULT_MAX_TOKENS}`",
        "seed": "drawn",
        "tool_choice": "`auto`",
    }


def answers_rows(models: Mapping[str, type[BaseModel]], known: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    for name in dict.fromkeys(name for model in models.values() for name in fields_of(model)):
        having = [model for model in models.values() if name in fields_of(model)]
        marks = ["yes" if name in fields_of(model) else "" for model in models.values()]
        absent = required_of(having, name) or known.get(name, "")
        yield f"`{name}`", accepted_of(having, name), absent, *marks, meaning_of(having, name)


def fields_of(model: type[BaseModel]) -> list[str]:
    """Its own come first, then what it has in common with others."""
    own = [name for name in model.__annotations__ if name in model.model_fields]
    return own + [name for name in model.model_fields if name not in own]


def required_of(models: Iterable[type[BaseModel]], name: str) -> str:
    return "required" if any(model.model_fields[name].is_required() for model in models) else ""


def meaning_of(models: Iterable[type[BaseModel]], name: str) -> str:
    meanings = dict.fromkeys(model.model_fields[name].description for model in models)
    if None in meanings:
        raise SystemExit(f"the parameter {name} has no description")
    return " / ".join(str(meaning) for meaning in meanings)


def accepted_of(models: Iterable[type[BaseModel]], name: str) -> str:
    """What the decoders enforce, in words; where dialects differ, each of them."""
    found = []
    for model in models:
        document = model.model_json_schema()
        words = accepted(document["properties"][name], document.get("$defs", {}))
        if words not in found:
            found.append(words)
    return " / ".join(found)


def accepted(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return accepted(named[schema["$ref"].rpartition("/")[2]], named)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(words for option in options if (words := accepted(option, named))))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "object")
    if kind in ("integer", "number"):
        return " ".join(["a whole number" if kind == "integer" else "a number", range_of(schema)]).strip()
    if kind == "array":
        most = f" of up to {schema['maxItems']:,}" if "maxItems" in schema else ""
        return f"a list{most}, each {accepted(schema.get('items', {}), named)}"
    size = f" of up to {schema['maxLength']:,} characters" if "maxLength" in schema else ""
    return ANY_JSON[kind] + size


def range_of(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "from {}", "exclusiveMinimum": "over {}", "maximum": "to {}", "exclusiveMaximum": "under {}"}
    return " ".join(text.format(shown(schema[name])) for name, text in words.items() if name in schema)


def shown(limit: float) -> str:
    return {2**63 - 1: "2⁶³-1", -(2**63): "-2⁶³", 2**31 - 1: "2³¹-1"}.get(int(limit)) or f"{limit:,}".removesuffix(".0")


def code_of(value: object) -> str:
    return f"`{json.dumps(value)}`"


def families(table: Table) -> str:
    from bodhi_asgi.engine.families.table import GENERIC, ROWS, THOUGHTS
    from bodhi_asgi.engine.families.writing import WrittenCall, write_calls

    call = WrittenCall("abcdefghi", "get_weather", {"city": "Paris", "days": 3})
    rows: dict[str, tuple[str, ...]] = {}
    for family in (*(row.family for row in ROWS), GENERIC):
        written = write_calls(family.tools, [call]).strip()
        rows.setdefault(family.name, (f"`{family.name}`", inline(written), "no" if family.one_call else "yes"))
    thoughts = dict.fromkeys((thinking.open.strip(), thinking.close.strip()) for _, thinking in THOUGHTS)
    return (
        "How models are known to call tools and to think. A family is recognised by what stands in a chat template;\n"
        "which published models belong to which, and what is special about them, stands in [models](../models.md).\n"
        "All of them work with every choice of tools, streaming or whole; line breaks are shown as `⏎`.\n\n"
        "## Calls\n\n"
        + table(("Family", "A call of `get_weather` with a city and a number", "Several in one turn"), rows.values())
        + "\n\n## Thoughts\n\nWhatever the family of its calls, a model's thoughts are told by the marks that its "
        "template has for them.\n\n"
        + table(("Opened by", "Closed by"), ((inline(first), inline(last)) for first, last in thoughts))
    )


def inline(text: str) -> str:
    """Code within a line, whatever is in it."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text.replace(chr(10), '⏎')}{pad}{fence}"
