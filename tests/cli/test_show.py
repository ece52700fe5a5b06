"""``bodhi show``: what a model file holds, for people and for programs, without starting anything."""

import asyncio
import json
from pathlib import Path

import pytest

from bodhi_asgi import BodhiServer, Caller
from bodhi_asgi.cli.card import card_lines
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.facts import GgufFacts, facts_of
from bodhi_asgi.gguf.fit import Fit
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.models.details import ModelDetails, ModelFile
from bodhi_asgi.models.params import RequestParams
from bodhi_asgi.models.types import SETTINGS_REPO, AliasSpec, FileReference
from tests.cli.conftest import Bodhi
from tests.gguf.files import BOOL, TEXT, Pair, header_bytes, part_bytes
from tests.shelf.hub_cache import HubCache

VISION = {
    "general.architecture": Pair(TEXT, "clip"),
    "general.type": Pair(TEXT, "mmproj"),
    "clip.has_vision_encoder": Pair(BOOL, True),
    "clip.vision.block_count": Pair(4, 27),
}


def test_the_card_of_a_file_says_what_it_is_and_whether_it_fits(bodhi: Bodhi) -> None:
    told = bodhi("show", str(DEMO_MODEL_PATH))
    assert told.exit_code == 0, told.stderr
    for line in (
        "  Model\n",
        "    architecture        llama\n",
        "bits per weight)\n",
        f"    file                {DEMO_MODEL_PATH.name}\n",
        "  Capabilities\n    completion\n    tools\n",
        "  Memory\n    weights ",
        "    2,048 tokens    ",
        ": fits\n",
    ):
        assert line in told.stdout, told.stdout


def test_the_card_in_the_documentation_is_the_one_that_is_printed(
    bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_ENGINE__MEMORY_BYTES", "16000000000")
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert f"```text\n{bodhi('show', str(DEMO_MODEL_PATH)).stdout.rstrip()}\n```" in page.read_text("utf-8")


def test_a_budget_of_the_settings_is_the_one_that_counts(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_ENGINE__MEMORY_BYTES", str(1024**2))
    assert "of 1 MB: does not fit" in bodhi("show", str(DEMO_MODEL_PATH), "--context", "100000").stdout


def test_programs_get_all_facts(bodhi: Bodhi, tmp_path: Path) -> None:
    projector = tmp_path / "mmproj.gguf"
    projector.write_bytes(header_bytes(VISION))
    told = json.loads(bodhi("show", str(DEMO_MODEL_PATH), "--projector", str(projector), "--json").stdout)
    facts = facts_of(read_header(DEMO_MODEL_PATH))
    assert (told["facts"]["parameters"], told["facts"]["quantisation"]) == (facts.parameters, "Q8_0")
    assert told["capabilities"][-1] == "vision"
    assert told["projector"]["layers"] == 27
    assert told["projector_file"] == {"name": "mmproj.gguf", "size_bytes": projector.stat().st_size}
    assert told["files"] == [{"name": "demo.gguf", "size_bytes": DEMO_MODEL_PATH.stat().st_size}]
    assert told["fits"] is True
    assert told["fit"]["context_tokens"] == 2048
    assert "  Projector\n" in bodhi("show", str(projector)).stdout


def test_the_template_alone_moves_no_cursor(bodhi: Bodhi, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    pairs = {"general.architecture": Pair(TEXT, "llama")}
    path.write_bytes(header_bytes({**pairs, "tokenizer.chat_template": Pair(TEXT, "a\n\tb\x1b[2J")}))
    assert bodhi("show", str(path), "--template").stdout == "a\n\tb\ufffd[2J\n"


def test_what_is_no_model_is_told_in_one_sentence(bodhi: Bodhi, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<!doctype html>")
    told = bodhi("show", str(path))
    assert (told.exit_code, told.stderr) == (
        2,
        "Error: 'page.gguf' is no model: it does not begin with the mark of the GGUF format\n",
    )
    assert bodhi("show", str(tmp_path / "gone.gguf")).exit_code == 3


FULL = ModelDetails(
    facts=GgufFacts(
        kind="model",
        architecture="qwen3moe",
        name="Qwen3 30B A3B",
        licence="apache-2.0",
        parameters=30_532_122_624,
        quantisation="Q4_K_M",
        bits_per_weight=4.857,
        context_length=262_144,
        embedding_length=2048,
        layers=48,
        heads=32,
        kv_heads=4,
        experts=128,
        experts_used=8,
        vocabulary=151_936,
        tokenizer="gpt2",
        chat_template="{{ x }}",
        version=3,
        is_big_endian=True,
    ),
    capabilities=("completion", "tools"),
    files=(ModelFile("a-00001-of-00002.gguf", 10_000_000_000), ModelFile("a-00002-of-00002.gguf", 8_556_685_824)),
    size_bytes=18_556_685_824,
    projector=GgufFacts(kind="projector", architecture="clip", quantisation="F16", bits_per_weight=16),
    projector_file=ModelFile("mmproj-a-F16.gguf", 900_000_000),
    fit=Fit(18_556_685_824, 402_653_184, 4096, 10**10, 1_000_000_000),
    parameters={"temperature": 0.7, "stop": ["\x1b[2J"]},
    system="You are kind.\nAnd brief.",
)


def test_a_card_has_a_section_for_all_there_is_and_none_for_what_there_is_not() -> None:
    assert "\n".join(card_lines(FULL)) == (
        "  Model\n"
        "    name                Qwen3 30B A3B\n"
        "    architecture        qwen3moe\n"
        "    parameters          30.5B\n"
        "    quantisation        Q4_K_M (4.86 bits per weight)\n"
        "    context length      262,144\n"
        "    embedding length    2,048\n"
        "    layers              48\n"
        "    heads               32 (4 of keys and values)\n"
        "    experts             128 (8 at a time)\n"
        "    vocabulary          151,936 (gpt2)\n"
        "    chat template       7 characters\n"
        "    files               2\n"
        "    size                18.6 GB\n"
        "    format              GGUF 3, big-endian\n"
        "\n"
        "  Files\n    a-00001-of-00002.gguf    10.0 GB\n    a-00002-of-00002.gguf    8.6 GB\n"
        "\n"
        "  Capabilities\n    completion\n    tools\n"
        "\n"
        "  Projector\n"
        "    architecture    clip\n"
        "    quantisation    F16 (16.00 bits per weight)\n"
        "    file            mmproj-a-F16.gguf\n"
        "    size            900 MB\n"
        "\n"
        "  Memory\n"
        "    weights         18.6 GB\n"
        "    projector       1.0 GB\n"
        "    4,096 tokens    403 MB\n"
        "    together        20.0 GB of 10.0 GB: does not fit\n"
        "\n"
        "  Parameters\n    stop           ['\\x1b[2J']\n    temperature    0.7\n"
        "\n"
        "  System\n    You are kind.\n    And brief.\n"
        "\n"
        "  Licence\n    apache-2.0\n"
    )
    assert card_lines(ModelDetails(GgufFacts(kind="other", architecture=""))) == ["  File", ""]


async def aliased(name: str) -> None:
    """An alias of the demo model, kept in the data directory of the test."""
    params = RequestParams.model_validate({"temperature": 0.5, "system_prompt": "You are kind."})
    spec = AliasSpec(name, FileReference(SETTINGS_REPO, "demo"), params, {"n_ctx": 512})
    async with BodhiServer() as server:
        await server.services.aliases.create(Caller.system(), spec)


def test_a_name_is_shown_with_what_its_alias_says(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_ENGINE__RUNNER", "llama")
    assert f"    file                {DEMO_MODEL_PATH}\n" in bodhi("show", "demo").stdout
    asyncio.run(aliased("kind"))
    told = bodhi("show", "kind")
    assert told.exit_code == 0, told.stderr
    assert "    name                kind\n" in told.stdout
    assert "  Parameters\n    temperature    0.5\n\n  Settings\n    n_ctx    512\n" in told.stdout
    assert "  System\n    You are kind.\n" in told.stdout


def test_a_name_that_nobody_has_and_one_without_a_file_are_told(bodhi: Bodhi) -> None:
    told = bodhi("show", "nobody")
    assert (told.exit_code, "there is no model 'nobody'" in told.stderr) == (3, True)
    told = bodhi("show", "parrot")
    assert (told.exit_code, "has no file: it is run by 'echo'" in told.stderr) == (5, True)


def test_a_model_of_the_cache_is_shown_with_all_its_parts_and_its_projector(
    bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BODHI_ENGINE__RUNNER", "llama")
    monkeypatch.setenv("BODHI_HUB__CACHE_DIR", str(tmp_path / "cache"))
    cache = HubCache(tmp_path / "cache")
    links = [
        cache.add("owner/big", f"Q8_0/big-Q8_0-{number:05}-of-00002.gguf", part_bytes(number, 2), ref="main")
        for number in (1, 2)
    ]
    eyes = cache.add("owner/big", "mmproj-big-F16.gguf", header_bytes(VISION))
    told = json.loads(bodhi("show", "owner/big:Q8_0", "--json").stdout)
    assert told["files"] == [{"name": str(link), "size_bytes": link.stat().st_size} for link in links]
    assert told["size_bytes"] == sum(link.stat().st_size for link in links)
    assert told["projector_file"] == {"name": str(eyes), "size_bytes": eyes.stat().st_size}
    assert "vision" in told["capabilities"]
    shown = bodhi("show", str(links[1])).stdout
    assert "    files           2\n" in shown
    assert f"  Files\n    {links[0].name}    " in shown
