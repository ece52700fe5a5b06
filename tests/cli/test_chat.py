"""``bodhi chat`` in a terminal of its own, and with lines from a pipe."""

from tests.cli.conftest import Bodhi
from tests.cli.terminal import terminal

HOURS_OF_TALK = " ".join(f"word{number}" for number in range(3000))


async def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(environment: dict[str, str], command: list[str]) -> None:
    environment["BODHI_ENGINE__N_CTX"] = "100000"
    async with terminal([*command, "chat", "parrot"], environment) as person:
        await person.shows("Ctrl-D leaves")
        await person.shows("› ")  # noqa: RUF001  the prompt
        await person.type("hello out there\n")
        await person.shows("hello out there\r\n")  # what was typed is shown by the line editor
        await person.shows("hello out there\r\n")
        await person.shows("› ")  # noqa: RUF001
        await person.type(HOURS_OF_TALK + "\n")
        await person.shows("\r\n")
        await person.shows("word1 ")
        assert "word2999" not in await person.interrupt_until("› ")  # noqa: RUF001
        await person.interrupt_until("› ")  # noqa: RUF001  Ctrl-C at the prompt begins a new line
        await person.type_until("/clear\n", "The conversation is forgotten.")
        await person.type("still here\n")
        await person.shows("still here\r\n")
        await person.shows("still here\r\n")
        await person.shows("› ")  # noqa: RUF001  before it, nobody reads the end of the input
        await person.type("\x04")
        assert await person.ended() == 0


def test_lines_from_a_pipe_are_turns_of_one_conversation(bodhi: Bodhi) -> None:
    result = bodhi("chat", "parrot", stdin="hello\n\nand again\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "hello\nand again\n", "")


def test_commands_of_the_conversation(bodhi: Bodhi) -> None:
    told = bodhi("chat", "parrot", stdin="/help\n/clear\n/system You are brief.\n/fly\nhello\n").stdout
    assert "/clear" in told
    assert "The conversation is forgotten." in told
    assert "A new conversation with this instruction." in told
    assert "There is no /fly. /help lists what there is." in told
    assert told.endswith("hello\n")


def test_a_turn_that_fails_is_told_and_forgotten(bodhi: Bodhi) -> None:
    result = bodhi("chat", "parrot", "--temperature", "-1", stdin="hello\n")
    assert result.exit_code == 0
    assert "temperature" in result.stderr


def test_a_model_that_is_not_there_ends_the_chat_before_it_begins(bodhi: Bodhi) -> None:
    assert bodhi("chat", "phoenix", stdin="hello\n").exit_code == 3
