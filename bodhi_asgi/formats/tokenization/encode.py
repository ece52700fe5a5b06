"""From tokens to the answers about them."""

from bodhi_asgi.formats.tokenization.schema import TokenCount, TokenList
from bodhi_asgi.messages.reading import TokenizeRequest, Tokens


def encode_tokens(found: Tokens, request: TokenizeRequest) -> TokenList:
    """All of them, with their texts where those were asked for. What was just computed is not validated again."""
    texts = list(found.pieces) if request.wants == "pieces" else None
    return TokenList.model_construct(
        count=found.count, max_model_len=found.n_ctx, tokens=list(found.ids), token_strs=texts
    )


def encode_count(found: Tokens) -> TokenCount:
    """How many there are."""
    return TokenCount(count=found.count, max_model_len=found.n_ctx)
