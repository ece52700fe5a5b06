"""A token's text as OpenAI's dialects show it beside its log probability."""

from bodhi_asgi.messages.answers import TokenLogprob


def token_text(one: TokenLogprob) -> str:
    """The token's text; bytes that are no text of their own are written out, so that two tokens never look alike."""
    try:
        return one.piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in one.piece)
