"""What can be wrong with a tool, with a paused run, and with what somebody decided about it."""

from bodhi_asgi.errors import ConfigurationInvalid, Conflict, Invalid


class ToolUnusable(ConfigurationInvalid):
    """A function cannot be a tool as it stands; ``param`` is ``function.parameter`` where one parameter is the reason.

    Raised when the tool or its agent is made, never in a run.
    """

    code = "tool_unusable"


class ToolRefused(Invalid):
    """Raise it in a tool to tell the model why there is no result: its message is shown to the model as it is.

    The text of any other exception is not.
    """

    code = "tool_refused"


class StateInvalid(Invalid):
    """The text is not the state of a paused run: damaged, of another version, or its signature does not hold."""

    code = "agent_state_invalid"


class DecisionInvalid(Invalid):
    """The decisions do not fit the calls that wait; ``param`` is the call's id, or the path in its arguments."""

    code = "decision_invalid"


class RunUnfinished(Conflict):
    """The result of a run was asked for before it came to its end."""

    code = "run_unfinished"
