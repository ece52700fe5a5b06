"""``bodhi chat``: a conversation at the terminal.

The person has the main thread, so that the line editor and Ctrl-C behave as everywhere; the server lives in the
portal's thread and goes on while the person thinks.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import click

from bodhi_asgi.cli.options import Options, shared
from bodhi_asgi.cli.sampling import fields, sampling

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from bodhi_asgi.facade import Bodhi

STOPS_WITHIN_S: Final = 5.0
HELP: Final = """/help    this list
/clear   forget the conversation
/system TEXT   forget the conversation and begin with this instruction
Ctrl-C   stop the answer
Ctrl-D   leave"""


@click.command()
@click.argument("model", default="demo")
@click.option("--system", metavar="TEXT", help="What the model should know or be in this conversation.")
@sampling
@shared
@click.pass_obj
def chat(options: Options, /, model: str, system: str | None, **given: Any) -> None:
    """Talk with MODEL (the demo model unless you say otherwise). /help lists what can be typed."""
    from anyio.from_thread import start_blocking_portal

    from bodhi_asgi.caller import Caller

    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        server = stack.enter_context(portal.wrap_async_context_manager(options.server()))
        bodhi = server.as_caller(Caller.system())
        portal.call(bodhi.get_model, model)
        if sys.stdin.isatty():
            import readline  # noqa: F401  gives input() its line editor and history

            click.echo(f"Talking with {model}. Ctrl-C stops an answer, Ctrl-D leaves, /help tells more.")
        Conversation(portal, bodhi, model, system, fields(given)).hold()


class Conversation:
    """The turns so far, and the loop of asking and answering."""

    def __init__(
        self, portal: "BlockingPortal", bodhi: "Bodhi", model: str, system: str | None, sampling: dict[str, Any]
    ) -> None:
        self._portal = portal
        self._bodhi = bodhi
        self._model = model
        self._sampling = sampling
        self._messages: list[dict[str, str]] = []
        self._may_interrupt = False
        self._begin(system)

    def hold(self) -> None:
        """Until the person leaves."""
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            self._converse()
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, *_: object) -> None:
        """Ctrl-C ends a line or an answer. One that comes while that ends already is for nothing else."""
        if self._may_interrupt:
            self._may_interrupt = False
            raise KeyboardInterrupt

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        self._may_interrupt = True
        try:
            yield
        finally:
            self._may_interrupt = False

    def _converse(self) -> None:
        while (line := self._read()) is not None:
            match line.strip().partition(" "):
                case ("", _, _):
                    continue
                case ("/help", _, _):
                    click.echo(HELP)
                case ("/clear", _, _):
                    self._begin(self._system)
                    click.echo("The conversation is forgotten.")
                case ("/system", _, text):
                    self._begin(text.strip() or None)
                    click.echo("A new conversation with this instruction.")
                case (word, _, _) if word.startswith("/"):
                    click.echo(f"There is no {word}. /help lists what there is.")
                case _:
                    self._ask(line)

    def _begin(self, system: str | None) -> None:
        self._system = system
        self._messages = [{"role": "system", "content": system}] if system else []

    def _read(self) -> str | None:
        while True:
            try:
                with self._interruptible():
                    return input("› " if sys.stdin.isatty() else "")  # noqa: RUF001  a prompt mark
            except KeyboardInterrupt:
                click.echo()
            except EOFError:
                if sys.stdin.isatty():
                    click.echo()
                return None

    def _ask(self, text: str) -> None:
        """One turn. A turn that fails, or is stopped before its first word, leaves no trace in the conversation."""
        from bodhi_asgi.errors import BodhiError

        self._messages.append({"role": "user", "content": text})
        pieces: list[str] = []
        ended = Event()
        answering = self._portal.start_task_soon(self._answer, pieces, ended)
        try:
            with self._interruptible():
                answering.result()
        except KeyboardInterrupt:
            answering.cancel()
            ended.wait(STOPS_WITHIN_S)
        except BodhiError as error:
            click.echo(f"Error: {error.message}", err=True)
        click.echo()
        if pieces:
            self._messages.append({"role": "assistant", "content": "".join(pieces)})
        else:
            self._messages.pop()

    async def _answer(self, pieces: list[str], ended: Event) -> None:
        from anyio import CancelScope

        request = {"model": self._model, "messages": self._messages, **self._sampling}
        try:
            answer = await self._bodhi.chat_completion(request, stream=True)
            try:
                async for chunk in answer:
                    for choice in chunk.choices:
                        if choice.delta.content:
                            pieces.append(choice.delta.content)
                            click.echo(choice.delta.content, nl=False)
            finally:
                with CancelScope(shield=True):
                    await answer.aclose()
        finally:
            ended.set()
