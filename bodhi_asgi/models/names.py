"""What an alias may be called, and which file it may name: checked once, before anything is looked up."""

from dataclasses import replace

from bodhi_asgi.gguf.names import first_of
from bodhi_asgi.hub.reference import check_file
from bodhi_asgi.models.errors import AliasNameInvalid
from bodhi_asgi.models.types import FileReference
from bodhi_asgi.settings.checks import is_model_name


def check_alias_name(name: str) -> str:
    """The name. Raises AliasNameInvalid for what cannot stand in a setting, a path or a grant."""
    if not is_model_name(name):
        raise AliasNameInvalid(
            f"a model cannot be called {name[:60]!r}: 1 to 128 letters, digits and . : / @ + - _ are accepted, with a "
            "letter or digit first, without empty or dotted parts between slashes",
            param="alias",
        )
    return name


def check_reference(file: FileReference) -> FileReference:
    """The reference, of a model in parts to its first. Raises Invalid naming what could be no repository, file or
    revision."""
    if file.is_setting:
        return file
    check_file(file.repo, file.filename, file.snapshot)
    return replace(file, filename=first_of(file.filename))
