"""The thread that asgiref keeps for each request, given back while an answer streams.

Django's own middleware runs partly in such a thread, and it stays until the request ends, with its connection to the
database: a thousand open streams would be a thousand threads that do nothing.
"""

from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections


async def give_back_thread() -> None:
    """End the thread of this request, if it has one of its own; whoever needs one later gets another."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    executors: Any = SyncToAsync.context_to_thread_executor
    if context is None or context not in executors:
        return
    await sync_to_async(_close_connections)()
    executors.pop(context).shutdown(wait=False)


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
