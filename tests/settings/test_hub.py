"""The section of the hub: what huggingface_hub's own variables say counts, and the token is shown nowhere."""

import traceback
from pathlib import Path

import pytest

from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.types import Secret

TOKEN = "hf_lovelaceAda1843"


def test_without_anything_it_is_the_public_hub_and_the_cache_that_all_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    hub = BodhiServerConfig().hub
    assert hub.endpoint == "https://huggingface.co"
    assert hub.token is None
    assert hub.cache_dir == Path("/home/ada/.cache/huggingface/hub")
    assert hub.mode == "online"


def test_the_variables_of_huggingface_hub_count_below_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\n")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    config = BodhiServerConfig()
    assert config.hub.endpoint == "https://mirror.example"
    assert config.hub.token == Secret(TOKEN)
    assert config.hub.mode == "offline"
    assert config.hub.cache_dir == tmp_path / "hub"
    assert config.origin("hub.token") == config.origin("hub.endpoint") == "environment"
    monkeypatch.setenv("BODHI_HUB__ENDPOINT", "https://other.example")
    (tmp_path / "bodhi.toml").write_text("[hub]\nmode = 'online'\n")
    config = BodhiServerConfig.load(tmp_path / "bodhi.toml", hub={"token": "hf_another1"})
    assert config.hub.endpoint == "https://other.example"
    assert config.hub.token == Secret("hf_another1")
    assert config.hub.mode == "online"
    assert [config.origin(f"hub.{name}") for name in ("token", "mode", "cache_dir", "retries")] == [
        *("argument", "file", "environment", "default")
    ]


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c", "XDG_CACHE_HOME": "/d"}, "/b"),
        ({"HF_HOME": "$HOME/c", "XDG_CACHE_HOME": "/d"}, "/home/ada/c/hub"),
        ({"HF_HOME": "~/c"}, "/home/ada/c/hub"),
        ({"XDG_CACHE_HOME": "/d"}, "/d/huggingface/hub"),
        ({"HF_HOME": " "}, "/home/ada/.cache/huggingface/hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert BodhiServerConfig().hub.cache_dir == Path(place)


def test_the_token_is_shown_nowhere() -> None:
    config = BodhiServerConfig(hub={"token": TOKEN})
    assert config.hub.token is not None
    assert config.hub.token.reveal() == TOKEN
    assert TOKEN not in f"{config!r} {config.hub!r} {config.rows()}"
    assert next(row.value for row in config.rows() if row.name == "hub.token") == "Secret(***)"


@pytest.mark.parametrize(
    ("hub", "param", "told"),
    [
        ({"token": f"{TOKEN} x"}, "hub.token", "is a Secret: 1 to 512 visible characters"),
        ({"token": ""}, "hub.token", "visible characters"),
        ({"token": TOKEN * 40}, "hub.token", "visible characters"),
        ({"token": f"{TOKEN}ä"}, "hub.token", "visible characters"),
        ({"token": 5}, "hub.token", "text is accepted"),
        (TOKEN, "hub", "a table is accepted"),
        ({"tokn": TOKEN}, "hub.tokn", "did you mean 'hub.token'?"),
        ({"endpoint": "huggingface.co"}, "hub.endpoint", "an address such as"),
        ({"endpoint": f"https://ada:{TOKEN}@huggingface.co"}, "hub.endpoint", "without user"),
        ({"cache_dir": "/"}, "hub.cache_dir", "the root of a file system"),
        ({"mode": "away"}, "hub.mode", "'online' or 'offline' is accepted"),
        ({"retries": -1}, "hub.retries", "from 0 to 100"),
        ({"stall_timeout_s": 0}, "hub.stall_timeout_s", "over 0 to 3600"),
    ],
)
def test_a_wrong_value_is_refused_and_no_secret_is_in_the_refusal(hub: object, param: str, told: str) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        BodhiServerConfig(hub=hub)
    assert refused.value.param == param
    assert told in refused.value.message
    assert TOKEN not in "".join(traceback.format_exception(refused.value))


def test_a_wrong_variable_of_huggingface_hub_is_refused_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "mirror")
    with pytest.raises(ConfigurationInvalid, match="in the environment as HF_ENDPOINT"):
        BodhiServerConfig()
    monkeypatch.setenv("BODHI_HUB__ENDPOINT", "mirror")
    with pytest.raises(ConfigurationInvalid, match="in the environment as BODHI_HUB__ENDPOINT"):
        BodhiServerConfig()
