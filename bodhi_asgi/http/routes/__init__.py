"""The handlers, one module per family: decode, call one verb, encode."""
