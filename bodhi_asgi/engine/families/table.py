"""Who writes what: families in the order in which they are looked for, by what stands in a chat template's text.

A family is the first whose every sign stands in the template. To add one, add its syntax to :mod:`.syntaxes` and a row
here; the published templates that the tests are given show whether it is recognised and read.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from bodhi_asgi.engine.families import syntaxes as s
from bodhi_asgi.engine.families.types import Family, Thinking, ToolSyntax

RESPONSE: Final = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
HARMONY_DROPPED: Final = (
    "<|start|>assistant",
    "<|channel|>final<|message|>",
    "<|channel|>commentary<|message|>",
    "<|end|>",
    "<|return|>",
)
SOLAR_DROPPED: Final = ("<|begin|>assistant", "<|content|>", "<|end|>")
KIMI_3_DROPPED: Final = ("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>")


@dataclass(frozen=True, slots=True)
class Row:
    """A family and the signs it is known by. ``thinking`` is given where it is not what :data:`THOUGHTS` would find."""

    signs: tuple[str, ...]
    family: Family


def _row(name: str, tools: ToolSyntax, *signs: str, **more: object) -> Row:
    return Row(signs, replace(Family(name, tools), **more))  # type: ignore[arg-type]


ROWS: Final = (
    _row("gpt-oss", s.HARMONY, "<|channel|>", "<|message|>", "functions.", dropped=HARMONY_DROPPED, one_call=True),
    _row("muse", s.MUSE, "<atem:function_calls>"),
    _row("kimi-k3", s.KIMI_3, "<|open|>", "<|sep|>", dropped=KIMI_3_DROPPED),
    _row("kimi-k2", s.KIMI, "<|tool_calls_section_begin|>"),
    _row("deepseek-v3.2", s.DEEPSEEK_32, "DSML", "function_calls"),
    _row("deepseek-v4", s.DEEPSEEK_4, "DSML", "tool_calls"),
    _row("deepseek-v3", s.DEEPSEEK, "<｜tool▁calls▁begin｜>", "```json", silent_calls=True),
    _row("deepseek-v3.1", s.DEEPSEEK_31, "<｜tool▁calls▁begin｜>"),
    _row("deepseek-v3", s.DEEPSEEK, "<｜tool▁outputs▁begin｜>", silent_calls=True),
    _row(
        "functionary-v3.2", s.FUNCTIONARY_32, ">>>all", dropped=(">>>all\n",), openings=(">>>",), arguments_as_text=True
    ),
    _row("firefunction", s.PHI, "functools[", "+ functions", tools_variable="functions"),
    _row("phi-4", s.PHI, "<|tool|>", "message['tools']", tools_variable="system"),
    _row("phi-4", s.PHI, "functools"),
    _row("apertus", s.APERTUS, "<|tools_prefix|>"),
    _row("minimax-m1", s.MINIMAX_LINES, "<beginning_of_sentence>", "<tool_calls>"),
    _row("minimax-m2", s.MINIMAX, "minimax:tool_call"),
    _row("minimax-m3", s.MINIMAX_3, "]<]minimax[>["),
    _row("apriel", s.APRIEL, "<tool_calls>[", dropped=("[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]")),
    _row("seed-oss", s.SEED, "seed:tool_call"),
    _row("hunyuan", s.HUNYUAN, "hy_begin_of_sentence"),
    _row("glm", s.GLM, "<arg_key>", "\\n<arg_value>"),
    _row("glm", s.GLM, "<arg_key>", "\n<arg_value>"),
    _row("glm", s.GLM_TIGHT, "<arg_key>"),
    _row("qwen3-coder", s.QWEN_XML, "<tool_call>", "<function=", "<parameter="),
    _row("functionary-v3.1", s.FUNCTIONARY_31, "<function=", "</function>"),
    _row("minicpm", s.MINICPM, '<param name="'),
    _row("command-r7b", s.COMMAND, "<|START_ACTION|>", dropped=RESPONSE),
    _row("command-r", s.COMMAND_R, '"tool_name"', "Action:"),
    _row("nemotron-v2", s.NEMOTRON, "<TOOLCALL>"),
    _row("mistral-small-3.2", s.MISTRAL_WITH_ID, "[TOOL_CALLS]", "[CALL_ID]"),
    _row("mistral-v11", s.MISTRAL_NAMED, "[TOOL_CALLS]", "[ARGS]"),
    _row("mistral-v3", s.MISTRAL_LIST, "[TOOL_CALLS]"),
    _row("lfm2", s.LIQUID, "<|tool_list_start|>"),
    _row("lfm2", s.LIQUID, "<|tool_call_start|>"),
    _row("lfm2", s.LIQUID, "List of tools: ["),
    _row("gemma-4", s.GEMMA_4, "<|tool_call>"),
    _row("granite-3", s.GRANITE, "<|tool_call|>", "available_tools", dropped=("<response>", "</response>")),
    _row("gigachat-3.1", s.GIGACHAT, "<|function_call|>", one_call=True),
    _row("gigachat-3", s.GIGACHAT_ROLE, "function call", "<|role_sep|>", one_call=True),
    _row("solar", s.SOLAR, "<|tool_call:begin|>", dropped=SOLAR_DROPPED),
    _row("smollm3", s.HERMES, "xml_tools", tools_variable="xml_tools"),
    _row("hermes", s.HERMES, "<tool_call>"),
    _row("llama-pythonic", s.LLAMA_PYTHON, "[func_name1("),
    _row("llama-json", s.LLAMA_JSON, '"parameters"', "ipython", one_call=True),
    _row("llama-json", s.LLAMA_JSON, '"parameters"', "<|python_start|>", one_call=True),
)

THOUGHTS: Final[tuple[tuple[str, Thinking], ...]] = (
    ("<|channel|>analysis", s.HARMONY_THINK),
    ("[THINK]", s.MISTRAL_THINK),
    ("<|START_THINKING|>", s.COMMAND_THINK),
    ("seed:think", s.SEED_THINK),
    ("<mm:think>", s.MINIMAX_THINK),
    ("hy_begin_of_sentence", s.HUNYUAN_THINK),
    ("<|channel>thought", s.GEMMA_THINK),
    ("<|open|>", s.KIMI_3_THINK),
    ("<|begin|>", s.SOLAR_THINK),
    ("Here are my reasoning steps", s.APRIEL_THINK),
    ("<|inner_prefix|>", s.APERTUS_THINK),
    ("</think>", s.THINK),
    ("<think>", s.THINK),
)
"""What thoughts look like, by a sign in the template."""

GENERIC: Final = Family("generic", s.HERMES, is_generic=True)
"""A template that knows no tools: they are described in the system message, and called as Hermes does."""


@lru_cache(maxsize=64)
def recognise(template: str) -> Family:
    """The family of a chat template's text."""
    found = next((row.family for row in ROWS if all(sign in template for sign in row.signs)), GENERIC)
    thinking = next((thinking for sign, thinking in THOUGHTS if sign in template), None)
    return replace(found, thinking=thinking)


def reads_tools(template: str, family: Family) -> bool:
    """Whether a template shows tools itself; others are given them in words."""
    return family.tools_variable == "system" or family.tools_variable in template
