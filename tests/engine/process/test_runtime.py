"""The private directory: who agrees on it, and whom it is refused to."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from bodhi_asgi.engine.process.runtime import EnginePaths, open_private, runtime_directory, spec_key
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import ConfigurationInvalid


def test_processes_with_one_data_directory_agree_whatever_they_call_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "data").mkdir()
    one = runtime_directory(tmp_path / "data")
    assert one == runtime_directory(tmp_path / "link")
    assert one == runtime_directory(tmp_path / "other" / ".." / "data")
    assert one != runtime_directory(tmp_path / "other")


def test_the_user_s_runtime_directory_comes_first_and_a_foreign_one_is_ignored(tmp_path: Path) -> None:
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    found = runtime_directory(tmp_path, {"XDG_RUNTIME_DIR": str(short)})
    assert found.parent == short / "bodhi"
    short.rmdir()
    without = runtime_directory(tmp_path, {"XDG_RUNTIME_DIR": str(short)})
    assert without == runtime_directory(tmp_path, {})
    assert without.parent.name == f"bodhi-{os.getuid()}"


def test_a_runtime_directory_too_deep_for_a_socket_is_passed_over(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    found = runtime_directory(tmp_path, {"XDG_RUNTIME_DIR": str(deep)})
    assert deep not in found.parents
    assert len(os.fsencode(EnginePaths(found, "0" * 16).socket)) <= 100


def test_it_is_made_private_whatever_the_umask(short_dir: Path) -> None:
    directory = short_dir / "bodhi" / "r"
    before = os.umask(0o777)
    try:
        open_private(directory)
    finally:
        os.umask(before)
    for level in (directory, directory.parent):
        assert stat.S_IMODE(level.stat().st_mode) == 0o700
    open_private(directory)


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o720, 0o777])
def test_a_directory_open_to_others_is_refused(short_dir: Path, mode: int) -> None:
    directory = short_dir / "r"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(ConfigurationInvalid, match="open to others"):
        open_private(directory)


def test_a_parent_that_others_may_change_is_refused_unless_sticky(short_dir: Path) -> None:
    short_dir.chmod(0o777)
    with pytest.raises(ConfigurationInvalid, match="changed by other users"):
        open_private(short_dir / "r")
    short_dir.chmod(0o1777)
    open_private(short_dir / "r")


def test_a_link_in_its_place_is_refused(short_dir: Path) -> None:
    (short_dir / "elsewhere").mkdir(mode=0o700)
    (short_dir / "r").symlink_to(short_dir / "elsewhere")
    with pytest.raises(ConfigurationInvalid, match="cannot be used"):
        open_private(short_dir / "r")


def test_a_file_in_its_place_is_refused(short_dir: Path) -> None:
    (short_dir / "r").write_text("")
    with pytest.raises(ConfigurationInvalid, match="cannot be used"):
        open_private(short_dir / "r")


def test_a_directory_of_another_user_is_refused(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = short_dir / "r"
    open_private(directory)
    # Only root could hand the directory to somebody else; being somebody else is the same question.
    monkeypatch.setattr(os, "getuid", lambda: directory.stat().st_uid + 1)
    short_dir.chmod(0o1777)
    with pytest.raises(ConfigurationInvalid, match=r"another user|changed by other users"):
        open_private(directory)


def test_a_path_too_long_for_a_socket_is_refused_by_name(short_dir: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="too long"):
        open_private(short_dir / ("x" * 90))


def test_a_spec_has_a_key_of_its_own_and_so_has_a_replaced_file(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    spec = ModelSpec("m", str(file))
    missing = spec_key(spec)
    file.write_bytes(b"one")
    one = spec_key(spec)
    file.write_bytes(b"other")
    other = spec_key(spec)
    assert len({missing, one, other, spec_key(ModelSpec("m", str(file), n_ctx=256))}) == 4
    assert other == spec_key(ModelSpec("m", str(file)))


def test_a_spec_of_a_split_model_has_a_new_key_when_any_of_its_parts_is_replaced(tmp_path: Path) -> None:
    parts = [tmp_path / f"m-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    spec = ModelSpec("m", str(parts[0]))
    keys = {spec_key(spec)}
    for part in parts:
        part.write_bytes(b"one")
    keys.add(spec_key(spec))
    for part in parts:
        part.write_bytes(b"other")
        keys.add(spec_key(spec))
    assert len(keys) == 5
