"""Where the file of a setting is: a link is followed, unless the parts of a split model are found beside it."""

from pathlib import Path

import pytest

from bodhi_asgi.models.files import locate
from tests.shelf.hub_cache import HubCache

PARTS = [f"big-Q8_0-{number:05}-of-00002.gguf" for number in (1, 2)]


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The link to the first part of a split model in the cache."""
    cache = HubCache(tmp_path / "hub")
    links = [cache.add("owner/big", name, name.encode(), ref="main") for name in PARTS]
    return links[0]


def test_a_split_model_of_the_cache_is_found_with_its_other_parts(first: Path) -> None:
    found = locate("big", str(first))
    assert found == first
    assert found.with_name(PARTS[1]).read_bytes() == PARTS[1].encode()


def test_a_link_to_a_split_model_leads_to_where_its_parts_are(first: Path, tmp_path: Path) -> None:
    latest = tmp_path / "latest.gguf"
    latest.symlink_to(first)
    alone = tmp_path / "alone" / PARTS[0]
    alone.parent.mkdir()
    alone.symlink_to(Path("..", "latest.gguf"))
    assert locate("big", str(latest)) == locate("big", str(alone)) == first


def test_any_part_of_a_split_model_leads_to_its_first(first: Path) -> None:
    assert locate("big", str(first.with_name(PARTS[1]))) == first


def test_any_other_link_is_followed_to_its_end(tmp_path: Path) -> None:
    link = HubCache(tmp_path / "hub").add("owner/repo", "one.gguf")
    assert locate("one", str(link)) == link.resolve()
    part = HubCache(tmp_path / "hub").add("owner/half", PARTS[0])
    assert locate("half", str(part)) == part.resolve()
