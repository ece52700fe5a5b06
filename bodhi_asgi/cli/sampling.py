"""The options of ``run`` and ``chat`` that shape an answer, as fields of the OpenAI request."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FIELDS = (
    *("max_tokens", "min_tokens", "temperature", "top_p", "top_k", "min_p", "top_n_sigma", "repeat_penalty"),
    *("dry_multiplier", "xtc_probability", "mirostat", "seed", "stop"),
)


def sampling(command: Command) -> Command:
    """Add ``--max-tokens``, ``--temperature`` and their like. The server checks the ranges, as it does for HTTP."""
    decorators: tuple[Callable[[Command], Command], ...] = (
        click.option("--stop", multiple=True, metavar="TEXT", help="End the answer before this text (repeatable)."),
        click.option("--mirostat", type=int, help="Keep the surprise even: version 1 or 2; not with --top-p."),
        click.option("--xtc-probability", type=float, help="How often to leave out the most obvious tokens."),
        click.option("--dry-multiplier", type=float, help="Make going on with repetitions less likely; 0.8 is usual."),
        click.option("--repeat-penalty", type=float, help="Make tokens of the answer less likely again; 1 is off."),
        click.option("--top-n-sigma", type=float, help="Drop tokens so many deviations below the likeliest; 0 is off."),
        click.option("--seed", type=int, help="Draw the same answer again."),
        click.option("--min-p", type=float, help="Drop tokens less likely than this share of the likeliest."),
        click.option("--top-k", type=int, help="Draw from so many tokens; 0 is off."),
        click.option("--top-p", type=float, help="Draw from the likeliest tokens of this total probability."),
        click.option("--temperature", type=float, help="0 always takes the likeliest token."),
        click.option("--min-tokens", type=int, help="The shortest answer."),
        click.option("--max-tokens", type=int, help="The longest answer."),
    )
    for decorator in decorators:
        command = decorator(command)
    return command


def fields(given: dict[str, Any]) -> dict[str, Any]:
    """Those of ``given`` that were said, ready for a chat completion request."""
    chosen = {name: given[name] for name in FIELDS if given.get(name) not in (None, ())}
    if "stop" in chosen:
        chosen["stop"] = list(chosen["stop"])
    return chosen
