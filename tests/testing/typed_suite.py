"""A host's tests as somebody with ``mypy --strict`` would write them; ``make check`` checks their types."""

from collections.abc import Iterator

from starlette.applications import Starlette

from bodhi_asgi import Bodhi, BodhiApp, BodhiServer
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.testing import (
    Asked,
    Gate,
    Script,
    StillClock,
    assert_audited,
    audit_trail,
    bearer,
    call,
    frames,
    running,
    scripted,
    visiting,
)


def is_about_tea(asked: Asked) -> bool:
    return "tea" in asked.text and asked.who == "host:ada"


def fixture(app: BodhiApp) -> Iterator[Script]:
    with scripted(app, models=["qwen3:8b"], limits={"body_bytes": 4096}) as script:
        yield script


async def test_everything_has_a_type(app: BodhiApp, server: BodhiServer, host: Starlette) -> None:
    gate, clock, script = Gate("tea"), StillClock(), Script(strict=False, width=3)
    answer = script.says("Tea ", gate, lambda asked: asked.text, reasoning="Hm.", tokens=(1, 2), when=is_about_tea)
    script.says(calls=[call("kettle", litres=1)], when="water", times=None)
    script.calls("kettle", {"litres": 1})
    script.fails(EngineBusy("no"))
    script.embeds("tea", [1.0, 0.0, 0.0])
    async with running(server, script, clock=clock) as same:
        verbs: Bodhi = server
        reply = await verbs.chat_completion({"model": "demo", "messages": []}, stream=False)
        text: str | None = reply.choices[0].message.content
        assert text is not None
        assert same.only.usage is not None
        tokens: int = same.usage("host").total_tokens + same.only.usage.total_tokens
        assert tokens
    async with scripted(app) as other, visiting(host, headers=await bearer(app)) as client:
        await gate.reached()
        gate.open()
        async with client.stream("GET", "/") as response:
            first = [frame["choices"] async for frame in frames(response)]
        asked: Asked = other.assert_asked("tea", who="host", tools=["kettle"], temperature=0.0, times=1)
        await asked.over()
        assert_audited(await audit_trail(app), "token.create")
        assert first
        assert answer.asked[0].request.max_tokens is None
