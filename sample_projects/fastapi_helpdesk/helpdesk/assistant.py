"""The assistant: it may read every ticket, and close one when a person says so."""

from bodhi_asgi import Agent, AgentLimits, ToolContext, ToolRefused, tool
from helpdesk.store import Store


async def list_tickets(context: ToolContext[Store]) -> list[dict[str, object]]:
    """The tickets, with their number, title and status."""
    return [one.model_dump(include={"id", "title", "status", "customer"}) for one in await context.deps.tickets(50)]


async def read_ticket(number: int, context: ToolContext[Store]) -> dict[str, object]:
    """What a ticket says."""
    ticket = await context.deps.ticket(number)
    if ticket is None:
        raise ToolRefused(f"there is no ticket {number}")
    return ticket.model_dump()


@tool(needs_approval=True)
async def close_ticket(number: int, context: ToolContext[Store]) -> str:
    """Close a ticket that is dealt with."""
    if not await context.deps.close(number):
        raise ToolRefused(f"there is no open ticket {number}")
    return f"ticket {number} is closed"


def assistant_of(model: str) -> Agent:
    """The assistant on this model."""
    return Agent(
        model,
        tools=[list_tickets, read_ticket, close_ticket],
        instructions="You help at a helpdesk. Look tickets up with your tools before you answer, and be short.",
        limits=AgentLimits(turns=6, tool_calls=8, time_s=120),
        temperature=0,
        max_tokens=400,
    )
