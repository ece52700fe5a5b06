"""The server as an object: started, stopped, started again, several at once, and its refusals at start."""

import os
import socket
import stat
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import (
    BodhiError,
    BodhiServer,
    BodhiServerBuilder,
    BodhiServerConfig,
    ConfigurationInvalid,
    NotStarted,
    Unavailable,
)
from tests.engine.support import becomes_idle

ECHO: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
HELLO: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


def server_in(path: Path, **settings: Any) -> BodhiServer:
    return BodhiServer(
        data_dir=path, database_url="sqlite://", models={"parrot": "parrot"}, demo=False, engine=ECHO, **settings
    )


async def test_a_server_answers_without_http(tmp_path: Path) -> None:
    async with server_in(tmp_path / "a") as server:
        assert server.status == "ready"
        reply = await server.chat_completion(HELLO, stream=False)
        assert "hello there" in reply.text
        models = await server.list_models()
        assert [model.id for model in models.data] == ["parrot"]


async def test_start_and_shutdown_are_idempotent_and_a_server_starts_again(tmp_path: Path) -> None:
    server = server_in(tmp_path / "a")
    for _ in range(2):
        await server.start()
        await server.start()
        assert (await server.health()).status == "ok"
        await server.shutdown()
        await server.shutdown()
        assert server.status == "stopped"


async def test_services_are_there_only_while_the_server_runs(tmp_path: Path) -> None:
    server = server_in(tmp_path / "a")
    with pytest.raises(NotStarted):
        _ = server.services
    async with server:
        assert server.services.database is not None
    with pytest.raises(NotStarted):
        _ = server.services


async def test_two_servers_live_in_one_process_and_share_nothing(tmp_path: Path) -> None:
    async with server_in(tmp_path / "a") as one, server_in(tmp_path / "b") as two:
        created = await one.create_api_token("only in one")

        assert (await one.list_api_tokens()).total == 1
        assert (await two.list_api_tokens()).total == 0
        with pytest.raises(BodhiError):
            await two.services.tokens.verify(created.token.reveal())


async def test_a_stream_can_be_closed_in_the_middle(tmp_path: Path) -> None:
    async with server_in(tmp_path / "a") as server:
        words = {**HELLO, "messages": [{"role": "user", "content": "word " * 40}]}
        async with await server.chat_completion(words, stream=True) as stream:
            await anext(stream)
        model = await server.services.models.resolve(await server._who(server.services), "parrot")
        engine = await server.services.engines.engine(model.spec)
        await becomes_idle(engine)


async def test_the_data_directory_is_private(tmp_path: Path) -> None:
    async with server_in(tmp_path / "deep" / "data"):
        assert stat.S_IMODE((tmp_path / "deep" / "data").stat().st_mode) == 0o700


async def test_a_data_directory_that_cannot_be_made_is_named_in_one_sentence(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    server = server_in(blocker / "data")

    with pytest.raises(ConfigurationInvalid) as refused:
        await server.start()

    assert refused.value.param == "data_dir"
    assert str(blocker) in refused.value.message


async def test_a_data_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o500)
    if os.geteuid() == 0:
        sealed = Path("/proc/self")  # root writes everywhere else
    with pytest.raises(ConfigurationInvalid, match="cannot be written"):
        await server_in(sealed).start()


async def test_a_corrupt_model_is_a_clear_error_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + os.urandom(512))
    server = BodhiServer(
        data_dir=tmp_path / "a",
        demo=False,
        models={"bad": str(bad), "gone": str(tmp_path / "gone.gguf")},
        engine={"threads": 1, "n_ctx": 256, "linger_s": 0},
    )
    async with server:
        for name in ("bad", "gone"):
            with pytest.raises(Unavailable) as refused:
                await server.chat_completion({**HELLO, "model": name}, stream=False)
            assert name in refused.value.message
        assert (await server.health()).parts["database"] == "ok"
        assert len((await server.list_models()).data) == 2


async def test_a_builder_makes_the_same_server(tmp_path: Path) -> None:
    server = await (
        BodhiServerBuilder()
        .database_url("sqlite://")
        .data_dir(tmp_path)
        .demo(enabled=False)
        .model("parrot", "parrot")
        .setting(engine=ECHO)
        .enable_http(enabled=False)
        .build()
    )
    assert server.status == "new"
    async with server:
        assert "hello there" in (await server.chat_completion(HELLO, stream=False)).text


async def test_a_server_listens_by_itself_when_asked_to(tmp_path: Path) -> None:
    builder = BodhiServerBuilder().data_dir(tmp_path).database_url("sqlite://").demo(enabled=False)
    server = await builder.enable_http(enabled=True).bind_address("127.0.0.1:0").build()
    async with server, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://{server.address}/ping")
        assert answer.json() == {"message": "pong"}
    assert server.address is None


async def test_a_taken_port_is_a_typed_error_that_names_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        builder = BodhiServerBuilder().data_dir(tmp_path).database_url("sqlite://").demo(enabled=False)
        server = await builder.enable_http(enabled=True).bind_address(f"127.0.0.1:{port}").build()
        with pytest.raises(BodhiError, match=str(port)):
            await server.start()
        assert server.status in ("stopped", "new")


def test_a_bad_setting_is_refused_at_construction_by_name() -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        BodhiServerConfig(engine={"slots": 0})
    assert refused.value.param == "engine.slots"


def test_a_config_and_single_settings_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="not both"):
        BodhiServer(BodhiServerConfig(data_dir=tmp_path), demo=False)
