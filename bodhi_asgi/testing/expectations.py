"""What a test says of what was asked. Every failure lists all that was asked, so that nobody has to look for it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.messages.generation import Sampling
from bodhi_asgi.testing.asked import Asked, Read, listed
from bodhi_asgi.testing.patience import PATIENCE_S, late


class Expectations:
    """``asked`` are the requests for answers, and ``read`` those for vectors and ranks, both in order of arrival."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.read: list[Read] = []

    @property
    def last(self) -> Asked:
        """The last request. Raises AssertionError when there was none."""
        if not self.asked:
            raise AssertionError("nothing was asked of any model")
        return self.asked[-1]

    @property
    def only(self) -> Asked:
        """The one request that there was. Raises AssertionError when there were none or more."""
        if len(self.asked) != 1:
            raise AssertionError(f"there was not one request, there were {len(self.asked)}:\n{listed(self.asked)}")
        return self.asked[0]

    def usage(self, who: str | None = None) -> Usage:
        """The tokens of all answers that are over, or of those to one caller."""
        mine = (asked for asked in self.asked if who is None or asked.who == who)
        return sum((asked.usage for asked in mine if asked.usage is not None), Usage())

    def assert_asked(
        self,
        text: str | None = None,
        *,
        times: int | None = None,
        who: str | None = None,
        model: str | None = None,
        system: str | None = None,
        tools: Sequence[str] | None = None,
        **sampling: Any,
    ) -> Asked:
        """Return the last request with all of this, or raise AssertionError that tells why there is none.

        ``text`` and ``system`` are parts of what the user and the system said last; ``tools`` are the names of all that
        were offered, in any order; other names are those of :class:`~bodhi_asgi.messages.generation.Sampling`, such as
        ``temperature=0``, or ``max_tokens``. With ``times``, there were exactly so many. Raises TypeError for a name
        that there is not.
        """
        for name in sampling:
            if name != "max_tokens" and name not in Sampling.__dataclass_fields__:
                raise TypeError(f"assert_asked() knows no {name!r}")
        wanted: dict[str, Any] = {
            "text": text,
            "who": who,
            "model": model,
            "system": system,
            "tools": None if tools is None else sorted(tools),
        }
        wanted = {name: value for name, value in wanted.items() if value is not None} | sampling
        found = [asked for asked in self.asked if not _differences(asked, wanted)]
        if len(found) == times or (times is None and found):
            return found[-1]
        raise AssertionError(_failure(self.asked, found, wanted, times))

    def assert_nothing_asked(self) -> None:
        """Raise AssertionError when anything was asked or given to read."""
        if self.asked or self.read:
            reads = "".join(f"\n  {read}" for read in self.read)
            raise AssertionError(f"nothing was to be asked, and this was:\n{listed(self.asked)}{reads}")

    def wait_asked(self, times: int = 1, *, timeout_s: float = PATIENCE_S) -> None:
        """Return once so many requests have come in all. Raises AssertionError after ``timeout_s``."""
        until_s = time.monotonic() + timeout_s
        while len(self.asked) < times:
            if time.monotonic() > until_s:
                raise late(f"{len(self.asked)} of {times} requests came", timeout_s)
            time.sleep(0.002)

    async def came(self, times: int = 1, *, timeout_s: float = PATIENCE_S) -> None:
        """As :meth:`wait_asked`, for tests that are asynchronous."""
        await asyncio.to_thread(self.wait_asked, times, timeout_s=timeout_s)


def _differences(asked: Asked, wanted: dict[str, Any]) -> dict[str, Any]:
    """What a request has in place of what is wanted, by name."""
    differing: dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "max_tokens":
            has: Any = asked.request.max_tokens
        elif name in Sampling.__dataclass_fields__:
            has = getattr(asked.sampling, name)
        else:
            has = sorted(asked.tools) if name == "tools" else getattr(asked, name)
        is_same = value in has if name in ("text", "system") else value == has
        if not is_same:
            differing[name] = has
    return differing


def _failure(asked: Sequence[Asked], found: Sequence[Asked], wanted: dict[str, Any], times: int | None) -> str:
    what = ", ".join(f"{name}={value!r}" for name, value in wanted.items()) or "anything"
    if found:
        return f"this was asked {len(found)} times and not {times}: {what}\nWhat was asked:\n{listed(asked)}"
    lines = [f"nobody asked for {what}", "What was asked:"]
    for one in asked:
        lines.append(f"  {one}")
        lines += [f"      {name} is {has!r}" for name, has in _differences(one, wanted).items()]
    return "\n".join(lines if asked else [*lines, "  nothing"])
