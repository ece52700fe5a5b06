"""How a conversation becomes the text that the scripted model reads: by a chat template, its own or the host's.

What the template is shown is made by the very code that serves real models. The plain template of ours is written out
in Python as well, because Jinja comes with an extra that a host's test machine may not have.
"""

from typing import Final, Protocol

from bodhi_asgi.engine.families.shown import Stage
from bodhi_asgi.engine.families.table import recognise
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.messages.conversation import ChatPrompt

TEMPLATE: Final = (
    "{# thinks in <think> and calls in <tool_call> #}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, of a family that thinks and calls as Qwen's models do; tools are described in words."""


class Rendering(Protocol):
    """A chat template."""

    @property
    def family(self) -> Family:
        """Of the models that have such a template."""
        ...

    def __call__(self, prompt: ChatPrompt) -> str:
        """The conversation as text. Raises PromptInvalid where the template refuses it."""
        ...


def rendering(source: str) -> Rendering:
    """What renders by that template. Raises MissingDependency for another than ours, without Jinja."""
    return PlainRendering() if source == TEMPLATE else HostsRendering(source)


class PlainRendering:
    """:data:`TEMPLATE`, in Python."""

    def __init__(self) -> None:
        self.family = recognise(TEMPLATE)
        self._stage = Stage(TEMPLATE, self.family)

    def __call__(self, prompt: ChatPrompt) -> str:
        shown = self._stage.variables(prompt, NoFence())["messages"]
        turns = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in shown)
        return f"{turns}<|im_start|>assistant\n"


class HostsRendering:
    """A template that the test was given."""

    def __init__(self, source: str) -> None:
        try:
            from bodhi_asgi.engine.templates import ChatTemplate, Fence
        except ImportError as error:
            raise MissingDependency("a chat template in a test", "llama") from error
        self._template: ChatTemplate = ChatTemplate(source, bos_token="<s>", eos_token="</s>")  # noqa: S106
        self._fence = Fence(())
        self.family = self._template.family

    def __call__(self, prompt: ChatPrompt) -> str:
        return self._template.render(prompt, self._fence)


class NoFence:
    """Nothing has to be told from control tokens: the scripted model has none."""

    def around(self, text: str) -> str:
        return text

    def around_answer(self, text: str) -> str:
        return text
