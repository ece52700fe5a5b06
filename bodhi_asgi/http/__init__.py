"""The HTTP door: decode, call one verb, encode. The only floor, with ``asgi``, that knows Starlette."""
