"""The ways in which models write tool calls and thoughts, each once; :mod:`.table` says who writes which.

Sources: the chat templates that the models' makers publish, which write earlier calls in the form in which the model
was trained to make new ones.
"""

from typing import Final

from bodhi_asgi.engine.families.types import (
    GemmaCalls,
    JsonCalls,
    NamedCalls,
    ParamCalls,
    PythonCalls,
    Thinking,
    ToolSyntax,
)

# -- JSON objects between markers

HERMES: Final = ToolSyntax(JsonCalls(), open="<tool_call>\n", close="\n</tool_call>", between="\n", per_call=True)
LLAMA_JSON: Final = ToolSyntax(
    JsonCalls(arguments_key="parameters"), between="; ", aliases=("<|python_tag|>", "<|python_start|>"), is_bare=True
)
MISTRAL_LIST: Final = ToolSyntax(
    JsonCalls(id_key="id", is_list=True), open="[TOOL_CALLS][", close="]", between=", ", ids="nine"
)
COMMAND: Final = ToolSyntax(
    JsonCalls("tool_name", "parameters", "tool_call_id", is_list=True),
    open="<|START_ACTION|>[\n    ",
    close="\n]<|END_ACTION|>",
    between=",\n    ",
)
COMMAND_R: Final = ToolSyntax(
    JsonCalls("tool_name", "parameters", is_list=True),
    open="Action:\n```json\n[\n    ",
    close="\n]```",
    between=",\n    ",
)
NEMOTRON: Final = ToolSyntax(JsonCalls(is_list=True), open="<TOOLCALL>[", close="]</TOOLCALL>", between=", ")
GRANITE: Final = ToolSyntax(JsonCalls(is_list=True), open="<|tool_call|>[", close="]", between=", ")
PHI: Final = ToolSyntax(
    JsonCalls(is_list=True), open="functools[", close="]", between=", ", aliases=("<|tool_call|>[", "<|tool_call|>")
)
APRIEL: Final = ToolSyntax(
    JsonCalls(id_key="id", is_list=True), open="<tool_calls>[", close="]</tool_calls>", between=", "
)
APERTUS: Final = ToolSyntax(
    JsonCalls(is_list=True, name_is_key=True), open="<|tools_prefix|>[", close="]<|tools_suffix|>", between=", "
)
MINIMAX_LINES: Final = ToolSyntax(JsonCalls(), open="<tool_calls>\n", close="\n</tool_calls>", between="\n")
GIGACHAT: Final = ToolSyntax(JsonCalls(), open="<|function_call|>", per_call=True)
GIGACHAT_ROLE: Final = ToolSyntax(JsonCalls(), open="<|message_sep|>\n\nfunction call<|role_sep|>\n", per_call=True)

# -- a name in the text, and JSON arguments

MISTRAL_NAMED: Final = ToolSyntax(NamedCalls(mid="[ARGS]"), open="[TOOL_CALLS]", per_call=True)
MISTRAL_WITH_ID: Final = ToolSyntax(
    NamedCalls(mid="[CALL_ID]{id}[ARGS]"), open="[TOOL_CALLS]", per_call=True, ids="nine"
)
DEEPSEEK: Final = ToolSyntax(
    NamedCalls("<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>", "\n```json\n", "\n```<｜tool▁call▁end｜>"),
    open="<｜tool▁calls▁begin｜>",
    close="<｜tool▁calls▁end｜>",
    between="\n",
)
DEEPSEEK_31: Final = ToolSyntax(
    NamedCalls("<｜tool▁call▁begin｜>", "", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"),
    open="<｜tool▁calls▁begin｜>",
    close="<｜tool▁calls▁end｜>",
)
KIMI: Final = ToolSyntax(
    NamedCalls("<|tool_call_begin|>", "functions.", ":{index}<|tool_call_argument_begin|>", "<|tool_call_end|>"),
    open="<|tool_calls_section_begin|>",
    close="<|tool_calls_section_end|>",
)
FUNCTIONARY_31: Final = ToolSyntax(NamedCalls("<function=", "", ">", "</function>"))
FUNCTIONARY_32: Final = ToolSyntax(NamedCalls(">>>", "", "\n", ""))
HARMONY: Final = ToolSyntax(
    NamedCalls(
        "<|channel|>commentary to=functions.",
        "",
        "<|message|>",
        "<|call|>",
        aliases=("<|channel|>analysis to=functions.", " to=functions."),
        gaps=(" <|constrain|>json", " json", "<|channel|>commentary json", "<|channel|>commentary <|constrain|>json"),
    )
)
SOLAR: Final = ToolSyntax(
    NamedCalls("<|tool_call:begin|>", "{id}<|tool_call:name|>", "<|tool_call:args|>", "<|tool_call:end|>"),
    open="<|tool_calls|>",
    close="<|calls|>",
)

# -- arguments between markers

QWEN_XML: Final = ToolSyntax(
    ParamCalls("<function=", ">\n", "<parameter=", ">\n", "\n</parameter>\n", "</function>", has_newlines=True),
    open="<tool_call>\n",
    close="\n</tool_call>",
    between="\n",
    per_call=True,
)
SEED: Final = ToolSyntax(
    ParamCalls("<function=", ">\n", "<parameter=", ">", "</parameter>\n", "</function>"),
    open="<seed:tool_call>\n",
    close="\n</seed:tool_call>",
    between="\n",
    per_call=True,
)
GLM: Final = ToolSyntax(
    ParamCalls("", "\n", "<arg_key>", "</arg_key>", "</arg_value>\n", "", value_open="\n<arg_value>"),
    open="<tool_call>",
    close="</tool_call>",
    between="\n",
    per_call=True,
)
GLM_TIGHT: Final = ToolSyntax(
    ParamCalls("", "", "<arg_key>", "</arg_key>", "</arg_value>", "", value_open="<arg_value>"),
    open="<tool_call>",
    close="</tool_call>",
    per_call=True,
)
HUNYUAN: Final = ToolSyntax(
    ParamCalls(
        "<tool_call:opensource>",
        "<tool_sep:opensource>\n",
        "<arg_key:opensource>",
        "</arg_key:opensource>",
        "</arg_value:opensource>\n",
        "</tool_call:opensource>\n",
        value_open="\n<arg_value:opensource>",
    ),
    open="<tool_calls:opensource>\n",
    close="</tool_calls:opensource>",
)
MINIMAX: Final = ToolSyntax(
    ParamCalls('<invoke name="', '">\n', '<parameter name="', '">', "</parameter>\n", "</invoke>\n"),
    open="<minimax:tool_call>\n",
    close="</minimax:tool_call>",
)
MUSE: Final = ToolSyntax(
    ParamCalls(
        '<atem:invoke name="', '">\n', '<atem:parameter name="', '">', "</atem:parameter>\n", "</atem:invoke>\n"
    ),
    open="<atem:function_calls>\n",
    close="</atem:function_calls>",
)
DSML_CALL: Final = ParamCalls(
    '<｜DSML｜invoke name="',
    '">\n',
    '<｜DSML｜parameter name="',
    '"',
    "</｜DSML｜parameter>\n",
    "</｜DSML｜invoke>\n",
    value_open=' string="{is_string}">',
)
DEEPSEEK_32: Final = ToolSyntax(DSML_CALL, open="<｜DSML｜function_calls>\n", close="</｜DSML｜function_calls>")
DEEPSEEK_4: Final = ToolSyntax(DSML_CALL, open="<｜DSML｜tool_calls>\n", close="</｜DSML｜tool_calls>")
MINICPM: Final = ToolSyntax(
    ParamCalls('<function name="', '">', '<param name="', '">', "</param>", "</function>"), between="\n"
)
MINIMAX_3: Final = ToolSyntax(
    ParamCalls(
        ']<]minimax[>[<invoke name="',
        '">',
        "]<]minimax[>[<",
        ">",
        "]<]minimax[>[</{key}>",
        "]<]minimax[>[</invoke>\n",
    ),
    open="]<]minimax[>[<tool_call>\n",
    close="]<]minimax[>[</tool_call>",
)
KIMI_3: Final = ToolSyntax(
    ParamCalls(
        '<|open|>call tool="',
        '" index="{index}"<|sep|>',
        '<|open|>argument key="',
        '"',
        "<|close|>argument<|sep|>",
        "<|close|>call<|sep|>",
        value_open=' type="{type}"<|sep|>',
    ),
    open="<|open|>tools<|sep|>",
    close="<|close|>tools<|sep|>",
)

# -- notations of their own

LLAMA_PYTHON: Final = ToolSyntax(
    PythonCalls(), open="[", close="]", between=", ", aliases=("<|python_tag|>[", "<|python_start|>["), is_bare=True
)
LIQUID: Final = ToolSyntax(PythonCalls(), open="<|tool_call_start|>[", close="]<|tool_call_end|>", between=", ")
GEMMA_4: Final = ToolSyntax(GemmaCalls(), open="<|tool_call>", close="<tool_call|>", per_call=True)

# -- thoughts

THINK: Final = Thinking("<think>\n", "\n</think>\n")
MISTRAL_THINK: Final = Thinking("[THINK]", "[/THINK]")
COMMAND_THINK: Final = Thinking("<|START_THINKING|>", "<|END_THINKING|>", anywhere=True)
SEED_THINK: Final = Thinking("<seed:think>", "</seed:think>\n")
MINIMAX_THINK: Final = Thinking("<mm:think>", "</mm:think>")
HUNYUAN_THINK: Final = Thinking("<think:opensource>", "</think:opensource>")
GEMMA_THINK: Final = Thinking("<|channel>thought\n", "<channel|>", anywhere=True)
HARMONY_THINK: Final = Thinking("<|channel|>analysis<|message|>", "<|end|>", anywhere=True)
SOLAR_THINK: Final = Thinking("<|think|>", "<|end|>", anywhere=True)
KIMI_3_THINK: Final = Thinking("<|open|>think<|sep|>", "<|close|>think<|sep|>", anywhere=True)
APRIEL_THINK: Final = Thinking("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]")
APERTUS_THINK: Final = Thinking("<|inner_prefix|>", "<|inner_suffix|>")
