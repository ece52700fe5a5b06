"""What can go wrong with a synchronous call and with no other."""

from bodhi_asgi.errors import Invalid


class InsideEventLoop(Invalid, RuntimeError):
    """A synchronous verb was called where an event loop runs, which it would stop; the message names what to await."""

    code = "inside_event_loop"
