"""The options of ``run`` and ``chat`` that shape an answer, as fields of the OpenAI request."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

FIELDS = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop")


def sampling(command: Command) -> Command:
    """Add ``--max-tokens``, ``--temperature`` and their like. The server checks the ranges, as it does for HTTP."""
    decorators: tuple[Callable[[Command], Command], ...] = (
        click.option("--stop", multiple=True, metavar="TEXT", help="End the answer before this text (repeatable)."),
        click.option("--seed", type=int, help="Draw the same answer again."),
        click.option("--min-p", type=float, help="Drop tokens less likely than this share of the likeliest."),
        click.option("--top-k", type=int, help="Draw from so many tokens; 0 is off."),
        click.option("--top-p", type=float, help="Draw from the likeliest tokens of this total probability."),
        click.option("--temperature", type=float, help="0 always takes the likeliest token."),
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
