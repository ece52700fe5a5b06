"""Whole answers are written piece by piece, and are what they would be in one."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.formats.rerank.schema import RankedDocument, RankedList, RankingUsage, TextDocument
from bodhi_asgi.formats.tokenization.schema import PromptText, TokenList
from bodhi_asgi.wire.writing import ITEMS, MODELS, written

SIZES = st.sampled_from([0, 1, ITEMS - 1, ITEMS, ITEMS + 1, 3 * ITEMS + 5])


@given(SIZES, st.booleans())
def test_tokens_are_written_as_in_one(size: int, with_texts: bool) -> None:
    texts = [f'"{index}\u00e9\n' for index in range(size)] if with_texts else None
    answer = TokenList(count=size, max_model_len=9, tokens=list(range(size)), token_strs=texts)
    assert orjson.loads(written(answer)) == answer.model_dump(exclude_none=True)


@given(st.sampled_from([0, 1, MODELS, MODELS + 1, 3 * MODELS]), st.booleans())
def test_ranks_are_written_as_in_one(size: int, with_texts: bool) -> None:
    document = TextDocument(text="a \\ text") if with_texts else None
    results = [RankedDocument(index=index, relevance_score=0.25, document=document) for index in range(size)]
    answer = RankedList(model='a "name"', results=results, usage=RankingUsage(prompt_tokens=3, total_tokens=3))
    assert orjson.loads(written(answer)) == answer.model_dump(exclude_none=True)


@given(st.text())
def test_a_text_is_written_as_it_is(text: str) -> None:
    assert orjson.loads(written(PromptText(prompt=text))) == {"prompt": text}
