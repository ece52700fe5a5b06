"""From scores to the documents in order."""

from bodhi_asgi.formats.rerank.decode import RerankCall
from bodhi_asgi.formats.rerank.schema import RankedDocument, RankedList, RankingUsage, TextDocument
from bodhi_asgi.messages.reading import Ranking


def encode(ranking: Ranking, call: RerankCall) -> RankedList:
    """The answer to ``call``."""
    documents = call.request.documents
    order = sorted(range(len(documents)), key=lambda index: -ranking.scores[index])
    results = [
        RankedDocument(
            index=index,
            relevance_score=ranking.scores[index],
            document=TextDocument(text=documents[index]) if call.return_documents else None,
        )
        for index in order[: call.top_n]
    ]
    tokens = ranking.usage.prompt_tokens
    return RankedList(
        model=call.request.model, results=results, usage=RankingUsage(prompt_tokens=tokens, total_tokens=tokens)
    )
