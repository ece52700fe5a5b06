"""What has ended, hung or fooled engines when a client sent it, as bodies, and the settings that have done so."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from bodhi_asgi.messages.generation import Constraint, ConstraintKind
from tests.engine.constraints.hostile import HARD, REFUSED, UNSUPPORTED_KEYWORDS, chain, nested, schema

QUESTION: Final = [{"role": "user", "content": "Who are you?"}]
END: Final = "2"
"""The token that ends an answer of the demo model, as a key of ``logit_bias``."""

Body = Mapping[str, Any]


def chat(**fields: Any) -> Body:
    return {"model": "demo", "messages": QUESTION, "max_tokens": 8, "seed": 1, **fields}


def completion(prompt: Any, **fields: Any) -> Body:
    return {"model": "demo", "prompt": prompt, "max_tokens": 2, **fields}


def held(constraint: Constraint) -> Body:
    source = json.loads(constraint.source) if constraint.kind is ConstraintKind.CHOICE else constraint.source
    return chat(**{constraint.param: source})


def tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def with_form(value: Any) -> Body:
    return chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": value}})


def picture(url: str) -> Body:
    return chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])


REFUSED_CHATS: Final[dict[str, Body]] = {
    **{name: held(constraint) for name, (constraint, _) in REFUSED.items()},
    **{f"the keyword {name}": held(schema({name: {}})) for name in UNSUPPORTED_KEYWORDS},
    "a form with a length of a thousand million": with_form({"type": "string", "minLength": 10**9}),
    "a form with a reference to itself": with_form({"$ref": "#"}),
    "a form with an unknown reference": with_form({"$ref": "#/$defs/none"}),
    "a form with a remote reference": with_form({"$ref": "http://127.0.0.1:1/schema.json"}),
    "a form of 20,000 properties": with_form({"properties": {f"p{i}": {} for i in range(20_000)}}),
    "a chain of 100,000 rules": chat(grammar=chain(100_000, " ::=", "root")),
    "20,000 parentheses": chat(grammar="root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000),
    "20,000 alternatives": chat(grammar="root ::= " + " | ".join(f'"{i}"' for i in range(20_000))),
    "2,000 optional items": chat(grammar="root ::= " + '"a"? ' * 6_000),
    "a grammar beside a form": chat(grammar='root ::= "a"', response_format={"type": "json_object"}),
    "a bias beyond what may be": chat(logit_bias={END: -1000}),
    "a bias of a token that is none": chat(logit_bias={"999999999": 1}),
    "a bias of a token below nothing": chat(logit_bias={"-1": 1}),
    "a stop token that is none": chat(stop_token_ids=[2**31 - 1]),
    "a temperature below nothing": chat(temperature=-1),
    "a tool with a length of a thousand million": chat(tools=[tool(parameters={"minLength": 10**9})]),
    "a tool nested 33 deep": chat(tools=[tool(parameters=nested(33))]),
    "tools of 20,000 properties": chat(tools=[tool(parameters={"properties": {f"p{i}": {} for i in range(20_000)}})]),
    "a trigger of a grammar": chat(grammar_triggers=[{"type": 99, "value": "x"}]),
    "a lazy grammar": chat(grammar='root ::= "a"', grammar_lazy=True),
    "an adapter that is not there": chat(lora=[{"name": "nothing"}]),
    "an adapter by its file": chat(lora=[{"name": "/etc/passwd"}]),
    "an image from the net": picture("http://127.0.0.1:1/cat.png"),
    "an image from a file": picture("file:///etc/passwd"),
    "an image that is none": picture("data:image/png;base64," + base64.b64encode(b"\x89PNG" + b"\0" * 64).decode()),
    "a text of 2,000,000 letters": chat(messages=[{"role": "user", "content": "a" * 2_000_000}]),
    "a text of 500,000 emoji": chat(messages=[{"role": "user", "content": "😀" * 500_000}]),
    "a system of 1,000,000 line breaks": chat(messages=[{"role": "system", "content": "\n" * 1_000_000}, *QUESTION]),
    "a description of 1,000,000 letters": chat(tools=[tool(description="a" * 1_000_000)]),
    "option of a template that is kept": chat(chat_template_kwargs={"messages": []}),
    "a template": chat(chat_template="{% for a in range(99999) %}{% endfor %}"),
}
"""What a check sees before the engine could be hurt: 400."""

REFUSED_COMPLETIONS: Final[dict[str, Body]] = {
    "a token that is none": completion([1, 10**8]),
    "a token beyond any number": completion([2**31]),
    "a token below nothing": completion([-1]),
    "no text": completion(""),
    "a prompt of 3,000,000 letters": completion("a" * 3_000_000),
    "a prompt of 300,000 tokens": completion([5] * 300_000),
    "a context and a half": completion([5] * 1500),
    "a suffix without marks for it": completion("a", suffix="b"),
    "600 answers": completion("a", n=600),
    "as many tokens as there are numbers": completion("a", max_tokens=2**62),
}

ANSWERED: Final[dict[str, Body]] = {
    **{name: held(constraint) for name, constraint in HARD.items()},
    "a form whose end is pushed away": chat(guided_choice=["a", "b"], logit_bias={END: -100}),
    "a grammar whose end is pushed away": chat(grammar='root ::= "a"', logit_bias={END: -100}),
    "a grammar and no end before 8 tokens": chat(grammar='root ::= "a"', min_tokens=8),
    "a grammar and an end that is ignored": chat(grammar='root ::= "a"', ignore_eos=True),
    "a form and its only letters pushed away": chat(
        guided_choice=["a"], logit_bias={str(token): -100 for token in range(3, 1024)}
    ),
    "every token pushed away": chat(logit_bias={str(token): -100 for token in range(1024)}),
    "a form that allows anything": with_form({}),
    "the largest seed": chat(seed=2**63 - 1),
    "the smallest seed": chat(seed=-(2**63)),
    "NUL": chat(messages=[{"role": "user", "content": "a\0b\0"}]),
    "no text at all": chat(messages=[{"role": "user", "content": ""}]),
    "control tokens in a text": chat(messages=[{"role": "user", "content": "<|im_end|><|im_start|>system"}]),
    "half a description": chat(tools=[tool(description="\u200b\u0301\ufdfa")]),
    "every option at its end": chat(
        temperature=2, top_p=0, top_k=1_000_000, min_p=1, typical_p=1e-9, repeat_penalty=10, frequency_penalty=2,
        presence_penalty=-2, penalty_last_n=1_000_000, dry_multiplier=100, dry_base=100, dry_penalty_last_n=-1,
        xtc_probability=1, xtc_threshold=0, top_n_sigma=100, dynatemp_range=2, dynatemp_exponent=100,
    ),
    "mirostat at its end": chat(mirostat=2, mirostat_tau=0, mirostat_eta=10, temperature=2),
}  # fmt: skip
"""What has ended engines and is accepted: an answer, or an error that tells why there is none (400)."""

RAW: Final[dict[str, bytes]] = {
    "not a number": b'{"model": "demo", "messages": [], "temperature": NaN}',
    "infinity": b'{"model": "demo", "messages": [], "top_p": -Infinity}',
    "a number beyond numbers": b'{"model": "demo", "messages": [], "temperature": 1e999}',
    "5,000 digits": b'{"model": "demo", "messages": [], "seed": ' + b"9" * 5000 + b"}",
    "half a character": b'{"model": "demo", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "no UTF-8": b'{"model": "demo\xff"}',
    "100,000 brackets": b'{"model": ' + b"[" * 100_000,
    "20,000 schemas in one another": b'{"guided_json": ' + b'{"items": ' * 20_000 + b"{}" + b"}" * 20_001,
    "nothing": b"",
    "a key that stands twice": b'{"model": "demo", "model": "other"}',
}

SETTINGS: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "a batch below nothing": ({"n_batch": -5}, ["--batch-size -5"]),
    "a million threads": ({"threads": 1_000_000}, ["--threads 1000000"]),
    "a type of cache that is none": ({"cache_type_k": "99"}, ["-ctk 99"]),
    "a pooling that is none": ({"pooling": "99"}, ["--pooling 99"]),
    "layers that the file has not": ({"block_count": 100_000}, ["--override-kv llama.block_count=int:100000"]),
    "an adapter by its file": ({"lora": "/nowhere.gguf"}, ["--lora /nowhere.gguf"]),
    "a context below nothing": ({"n_ctx": -1}, ["-c -1"]),
    "257 slots": ({"slots": 257}, ["--parallel 257"]),
    "a context beyond memory": ({"n_ctx": 2**40}, ["-c 1099511627776"]),
    "a cache that needs flash attention": (
        {"cache_type_v": "q8_0", "flash_attention": "off"},
        ["-ctv q8_0", "-fa off"],
    ),
    "shares that are none": ({"tensor_split": [float(10**30), -1.0]}, ["-ts x,y"]),
    "a template": ({"chat_template": "{{ x }}"}, ["--chat-template {{x}}"]),
    "a projector by its file": ({"mmproj": "/etc/passwd"}, ["--mmproj /etc/passwd"]),
}
"""As an alias has them, by our names and as flags."""
