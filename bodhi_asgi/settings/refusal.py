"""From a validation finding to one human sentence that names the field, the value and what is accepted."""

from typing import Any

from pydantic import ValidationError

from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.settings.checks import shown


def refusal(error: ValidationError) -> ConfigurationInvalid:
    """The first finding as our own error."""
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return ConfigurationInvalid(f"'{name}' is no setting; 'bodhi settings' lists them all", param=name)
    return ConfigurationInvalid(f"the setting '{name}' is {_value(fault['input'])}: {_accepted(fault)}", param=name)


def _value(value: Any) -> str:
    text = repr(shown(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _accepted(fault: Any) -> str:
    context = fault.get("ctx", {})
    if fault["type"] == "value_error":
        return str(context["error"])
    if fault["type"] == "literal_error":
        return f"{context['expected']} is accepted"
    message = str(fault["msg"]).removeprefix("Input should be ")
    return f"{message} is accepted"
