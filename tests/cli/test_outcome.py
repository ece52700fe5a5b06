"""What goes wrong ends in one sentence and a documented exit code, never in a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bodhi_asgi.cli.app import Door
from bodhi_asgi.cli.options import printing
from bodhi_asgi.errors import Forbidden, Kind
from bodhi_asgi.exit_codes import OF_KIND, ExitCode
from tests.cli.conftest import Bodhi


@click.group(cls=Door)
@printing
def house() -> None:
    """A command line of tests, with the door of the real one."""


@house.command()
def refused() -> None:
    """Somebody else's."""
    raise Forbidden("this is not yours", param="thing")


@house.command()
def bug() -> None:
    """A fault of ours."""
    raise ValueError("2 is not 3")


@house.command()
def interrupted() -> None:
    """Stopped by its user."""
    raise KeyboardInterrupt


@house.command()
def clumsy() -> None:
    """Click's own way to fail."""
    raise click.ClickException("it did not work")


@house.command()
def severed() -> None:
    """Another pipe than the one that is printed to."""
    raise BrokenPipeError(32, "Broken pipe")


def ended(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        house.main(list(arguments))
    told = capsys.readouterr()
    return int(str(left.value.code)), told.out, told.err


def test_an_error_is_one_sentence_with_the_exit_code_of_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("refused", capsys=capsys) == (ExitCode.REFUSED, "", "Error: this is not yours\n")


def test_an_error_is_json_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ended("--json", "refused", capsys=capsys)
    assert (code, out) == (ExitCode.REFUSED, "")
    assert json.loads(err) == {"error": {"message": "this is not yours", "code": "forbidden", "param": "thing"}}


def test_a_fault_of_ours_shows_its_traceback_only_to_those_who_debug(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ended("bug", capsys=capsys)
    assert code == ExitCode.FAILED
    assert err == "Error: Unexpected ValueError: 2 is not 3; --debug shows where\n"
    assert "Traceback" in ended("--debug", "bug", capsys=capsys)[2]


def test_ctrl_c_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("interrupted", capsys=capsys) == (ExitCode.INTERRUPTED, "", "\n")


def test_a_plain_failure_of_click_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("clumsy", capsys=capsys) == (ExitCode.FAILED, "", "Error: it did not work\n")


def test_every_kind_of_error_has_an_exit_code() -> None:
    assert {OF_KIND.get(kind, ExitCode.FAILED) for kind in Kind} == set(ExitCode) - {ExitCode.OK, ExitCode.INTERRUPTED}


def test_a_wrong_option_is_a_usage_error(bodhi: Bodhi) -> None:
    result = bodhi("list", "--colour")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == "Error: No such option '--colour'. Try: bodhi list --help\n"


def test_a_wrong_option_is_told_as_json_when_json_was_asked_for(bodhi: Bodhi) -> None:
    result = bodhi("list", "--json", "--colour")
    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stderr)["error"]["code"] == "usage"


def test_a_configuration_file_that_is_not_there_is_a_usage_error(bodhi: Bodhi, tmp_path: Path) -> None:
    result = bodhi("--config", str(tmp_path / "no.toml"), "settings")
    assert result.exit_code == ExitCode.USAGE
    assert "no.toml" in result.stderr


def test_a_reader_that_has_enough_is_no_failure(command: list[str]) -> None:
    closed = subprocess.Popen([*command, "version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert closed.stdout is not None
    assert closed.stderr is not None
    closed.stdout.close()
    assert closed.wait(30) == ExitCode.OK
    assert closed.stderr.read() == b""
    closed.stderr.close()


@pytest.mark.parametrize("extra", ["click", "rich"])
def test_without_the_extra_there_is_one_sentence(extra: str) -> None:
    code = f"import sys; sys.modules['{extra}'] = None; from bodhi_asgi.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", code, "version"], capture_output=True, text=True, check=False)
    if extra == "click":
        assert ended.returncode == 1
        assert ended.stderr == "The command line needs an optional dependency: pip install 'bodhi-asgi[cli]'\n"
    else:
        assert ended.returncode == 0


def test_a_pipe_that_breaks_elsewhere_is_a_failure_and_not_an_end_without_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = ended("severed", capsys=capsys)
    assert (code, out) == (ExitCode.FAILED, "")
    assert err == "Error: the connection to another process broke off; --debug shows where\n"
