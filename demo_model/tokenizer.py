"""A byte-level BPE in the form of gpt2, small enough that its words are learned, trained on generated text.

No merge holds a digit, so that numbers are written digit by digit. A space merges only with whole words of the
phrasings: a name or noun is the same tokens wherever it stands, which makes copying easy. The pre-tokenizer is gpt2's
for ASCII.
"""

import itertools
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

from demo_model import words as content

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKERS = ("<tools>", "</tools>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
SPECIAL = re.compile("(" + "|".join(map(re.escape, CONTROL + MARKERS)) + ")")
MERGES = 960


@cache
def byte_names() -> list[str]:
    """gpt2's printable name of each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {byte: chr(byte) for byte in shown}
    hidden = [byte for byte in range(256) if byte not in names]
    return [names.get(byte) or chr(256 + hidden.index(byte)) for byte in range(256)]


class Tokenizer:
    """Encodes as llama.cpp does with the same merges."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.tokens = [*byte_names(), *CONTROL, *MARKERS, *("".join(pair) for pair in merges)]
        self.plain = len(self.tokens)
        self.tokens += [f"[unused{n}]" for n in range(-len(self.tokens) % 32)]
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        self._cache: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``; control tokens and markers in it are read as such."""
        found: list[int] = []
        for part in SPECIAL.split(text):
            if part in CONTROL or part in MARKERS:
                found.append(self.ids[part])
            else:
                for word in WORDS.findall(part):
                    found += self._word(word)
        return found

    def decode(self, tokens: list[int]) -> str:
        names = {name: byte for byte, name in enumerate(byte_names())}
        data = bytearray()
        for token in tokens:
            text = self.tokens[token]
            data += text.encode() if SPECIAL.fullmatch(text) else bytes(names[char] for char in text)
        return data.decode(errors="replace")

    def _word(self, word: str) -> list[int]:
        known = self._cache.get(word)
        if known is None:
            parts = [byte_names()[byte] for byte in word.encode()]
            while len(parts) > 1:
                pairs = [(self.ranks.get(pair, MERGES), index) for index, pair in enumerate(itertools.pairwise(parts))]
                rank, index = min(pairs)
                if rank == MERGES:
                    break
                parts[index : index + 2] = ["".join(parts[index : index + 2])]
            known = self._cache[word] = [self.ids[part] for part in parts]
        return known

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.merges))

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        return cls([tuple(pair) for pair in json.loads(path.read_text())])


def train(texts: list[str]) -> Tokenizer:
    """Learn the merges: the most frequent pair first, ties in alphabetical order."""
    names = byte_names()
    space = names[ord(" ")]
    fillings = content_words()
    words = Counter(
        tuple(names[byte] for byte in word.encode())
        for text in texts
        for part in SPECIAL.split(text)
        if not SPECIAL.fullmatch(part)
        for word in WORDS.findall(part)
    )
    merges: list[tuple[str, str]] = []
    whole = {"".join(word[1:]) for word in words if word[0] == space}
    while len(merges) < MERGES:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        allowed = [
            (-count, pair)
            for pair, count in pairs.items()
            if not any(char.isdigit() for char in "".join(pair)) and _may_follow_space(pair, space, whole, fillings)
        ]
        _, best = min(allowed)
        merges.append(best)
        words = _apply(words, best)
    return Tokenizer(merges)


def content_words() -> set[str]:
    """Words that fill the places of a phrasing: they have to be copied, so they look the same everywhere."""
    values = [value for name, value in vars(content).items() if name.isupper()]
    texts = [text for value in values for text in (value if not isinstance(value, dict) else [*value, *value.values()])]
    return {word for text in texts for word in str(text).split()}


def _may_follow_space(pair: tuple[str, str], space: str, whole: set[str], fillings: set[str]) -> bool:
    if pair[0] != space:
        return not pair[0].startswith(space)
    return len(pair[1]) > 1 and pair[1] in whole and pair[1] not in fillings


def _apply(words: Counter[tuple[str, ...]], pair: tuple[str, str]) -> Counter[tuple[str, ...]]:
    changed: Counter[tuple[str, ...]] = Counter()
    for word, count in words.items():
        parts: list[str] = []
        for part in word:
            if parts and (parts[-1], part) == pair:
                parts[-1] += part
            else:
                parts.append(part)
        changed[tuple(parts)] += count
    return changed
