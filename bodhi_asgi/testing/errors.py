"""What is wrong with a script, said at the door where it was noticed, and again when the test ends."""

from bodhi_asgi.errors import Broken


class NotScripted(Broken):
    """A test's script has no answer to a request."""

    code = "not_scripted"


class ScriptImpossible(Broken):
    """A test's script has an answer that no model could have given to the request."""

    code = "script_impossible"
