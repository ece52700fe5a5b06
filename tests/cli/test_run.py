"""``bodhi run``: one question, one answer, by the same verb as every other door."""

import json

import pytest

from tests.cli.conftest import Bodhi


def test_answer_goes_to_stdout(bodhi: Bodhi) -> None:
    result = bodhi("run", "parrot", "hello out there")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "hello out there\n", "")


def test_prompt_comes_from_stdin(bodhi: Bodhi) -> None:
    assert bodhi("run", "parrot", "-", stdin="from a pipe").stdout == "from a pipe\n"


def test_json_is_the_completion_that_http_gives(bodhi: Bodhi) -> None:
    reply = json.loads(bodhi("run", "parrot", "hello out there", "--system", "You are a parrot.", "--json").stdout)
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["content"] == "hello out there"
    assert reply["usage"]["completion_tokens"] > 0


def test_options_shape_the_answer(bodhi: Bodhi) -> None:
    assert bodhi("run", "parrot", "one two three", "--stop", "three", "--seed", "7").stdout == "one two \n"
    assert bodhi("run", "parrot", "one two three", "--max-tokens", "1").stdout == "one\n"


def test_a_model_that_is_not_there_is_named(bodhi: Bodhi) -> None:
    result = bodhi("run", "phoenix", "hello")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "phoenix" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "field"),
    [(("--temperature", "-1"), "temperature"), (("--max-tokens", "0"), "max_tokens"), (("--top-p", "2"), "top_p")],
)
def test_a_value_out_of_range_is_refused_as_it_is_over_http(bodhi: Bodhi, option: tuple[str, str], field: str) -> None:
    result = bodhi("run", "parrot", "hello", *option, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"]["param"] == field


def test_a_data_directory_that_cannot_be_made_is_one_sentence(bodhi: Bodhi) -> None:
    result = bodhi("list", "--data-dir", "/dev/null/bodhi")
    assert result.exit_code == 2
    assert "/dev/null/bodhi" in result.stderr
    assert result.stderr.count("\n") == 1
