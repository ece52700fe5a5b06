"""What people see at a terminal, where programs get tab-separated lines."""

from tests.cli.terminal import terminal


async def test_a_table_is_for_people_and_an_empty_one_says_what_to_do(
    environment: dict[str, str], command: list[str]
) -> None:
    async with terminal([*command, "token", "list"], environment) as person:
        await person.shows("There are no tokens. Make one: bodhi token create")
        assert await person.ended() == 0
    async with terminal([*command, "list"], environment) as person:
        await person.shows("Model")
        await person.shows("parrot")
        assert await person.ended() == 0
