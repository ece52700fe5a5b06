"""The benchmarks run: a small model of random weights, a load on it, and one comparison from the command line."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import PARTS, scripts
from benchmarks.load import FIRST, GAP, GAP_P99, SPEED, load
from benchmarks.peers import EnginePeer, Task, spec
from benchmarks.random_model import Shape, vocabulary, write
from bodhi_asgi.engine.engine import ThreadEngine

ROOT = Path(__file__).parent.parent.parent
SMALL = Shape(layers=2, width=64, inner=128, heads=2, kv_heads=1, vocabulary=1200, context=1024)


def test_the_random_model_is_the_same_each_time_it_is_made(tmp_path: Path) -> None:
    first, second, other = tmp_path / "a.gguf", tmp_path / "b.gguf", tmp_path / "c.gguf"
    write(first, SMALL)
    write(second, SMALL)
    write(other, SMALL, "Q8_0")
    assert first.read_bytes() == second.read_bytes()
    assert other.stat().st_size > first.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gguf", "b.gguf", "c.gguf"]


def test_the_random_vocabulary_has_every_byte_once_and_only_merges_of_tokens_it_has() -> None:
    tokens, types, merges = vocabulary(2000)
    assert len(tokens) == len(types) == len(set(tokens)) == 2000
    known = set(tokens[:256])
    assert len(known) == 256
    for merge in merges:
        left, right = merge.split(" ")
        assert {left, right} <= known
        known.add(left + right)


async def test_the_random_model_answers_as_long_as_it_may(tmp_path: Path) -> None:
    write(tmp_path / "small.gguf", SMALL)
    engine = ThreadEngine(spec(Task("small", tmp_path / "small.gguf", slots=3, n_ctx=1024)))
    try:
        await engine.start()
        peer = EnginePeer(engine)
        assert (await peer.ask("Hello", 40)).tokens == 40
        measured = await load(peer, streams=3, tokens=20, repeats=2)
    finally:
        await engine.aclose()
    assert measured.keys() == {SPEED, FIRST, GAP, GAP_P99}
    assert 0 < measured[GAP] <= measured[GAP_P99]


def test_a_comparison_runs_from_the_command_line() -> None:
    command = [sys.executable, "-m", "benchmarks.sse_thousand", "--streams", "20", "--rounds", "1", "--others", "1"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)["20 streams at once"]["rounds"]
    assert {name: of["complete"] for name, of in figures.items()} == {"bodhi serve": 20, "bare Starlette": 20}
    assert figures["bodhi serve"]["open at once"] == 20


def test_every_file_is_a_benchmark_that_can_be_run_or_a_part_of_them() -> None:
    folder = ROOT / "benchmarks"
    stems = {path.stem for path in folder.glob("*.py")}
    assert stems == {*PARTS, *scripts(folder)}
    for name in scripts(folder):
        body = ast.parse((folder / f"{name}.py").read_text("utf-8")).body
        assert any(isinstance(node, ast.If) for node in body), f"{name} does nothing when it is run"


def test_the_cost_of_a_token_is_told_by_stage() -> None:
    command = [sys.executable, "-m", "benchmarks.token_cost", "--streams", "2", "--tokens", "4", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {"greedy", "drawn", "logprobs", "dry"}
    assert all(microseconds > 0 for figures in found.values() for microseconds in figures.values())


def test_headers_are_read_by_both_readers() -> None:
    command = [sys.executable, "-m", "benchmarks.gguf_header", "--vocabulary", "2000", "--rounds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    # How much quicker ours is, a small vocabulary on a busy machine does not tell.
    assert "2,000 tokens" in done.stdout, done.stderr
    assert "gguf / ours" in done.stdout.splitlines()[-1]


def test_downloads_are_measured_against_huggingface_hub() -> None:
    command = [sys.executable, "-m", "benchmarks.download", "--mib", "2", "--rounds", "1", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() == {"bodhi", "huggingface_hub", "huggingface_hub, to disk"}
    assert all(len(seconds) == 1 for seconds in figures.values())


def test_a_cache_of_models_is_looked_through_and_listed() -> None:
    command = [sys.executable, "-m", "benchmarks.shelf_scan", "--models", "8", "--rounds", "1", "--pages", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "16 files: a page" in done.stdout, done.stderr
    assert "first look" in done.stdout.splitlines()[-1]


def test_lists_of_aliases_and_files_are_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.listing", "--aliases", "3", "--files", "3", "--times", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "/bodhi/v1/models first page" in done.stdout, done.stderr
    assert all("p99" in line for line in done.stdout.splitlines() if line.startswith("/"))


@pytest.mark.timeout(400)
def test_a_hosts_own_routes_are_measured_without_us_idle_and_generating() -> None:
    command = [sys.executable, "-m", "benchmarks.host_routes", "--rounds", "1", "--others", "1", "--seconds", "0.2"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (figures,) = said["a host's own routes"]["rounds"]
    assert figures.keys() == {"without us", "without us, again", "mounted, idle", "generating on 8 streams"}
    assert all(of["requests/s"] > 0 and of["start, s"] > 0 for of in figures.values())
    (figures,) = said["a request, called directly"]["rounds"]
    assert len(figures) == 5
    assert all(of["µs/request"] > 0 for of in figures.values())


@pytest.mark.timeout(400)
def test_ends_are_measured_with_every_reader_told() -> None:
    command = [sys.executable, "-m", "benchmarks.exit_times", "--rounds", "1", "--others", "1", "--streams", "4"]
    only = ["--server", "bodhi serve", "--server", "daphne", "--host", "bridge"]
    done = subprocess.run([*command, *only, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)["SIGTERM with 4 streams open"]["rounds"]
    assert {name: of["told"] for name, of in figures.items()} == {"bodhi serve": 4, "daphne, bridge": 4}
    assert all(0 < of["last told, s"] <= of["ended, s"] for of in figures.values())
