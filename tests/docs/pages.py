"""The Markdown pages of this repository, and the code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sample_projects/**/*.md")])
BLOCK = re.compile(r"(?:<!-- run: (?P<how>[\w ]+) -->\n)?```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One Python block; ``how`` says what a test does with it beyond compiling it."""

    name: str
    code: str
    how: str


def blocks(*kinds: str) -> list[Block]:
    """Every Python block, or those with one of ``kinds`` as the first word of their mark."""
    found = []
    for page in PAGES:
        for number, match in enumerate(BLOCK.finditer(page.read_text("utf-8")), start=1):
            block = Block(f"{page.relative_to(ROOT)}#{number}", match["code"], match["how"] or "")
            if not kinds or block.how.split(" ")[0] in kinds:
                found.append(block)
    return found
