"""A row of the audit trail."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bodhi_asgi.types import JSONObject


class Outcome(StrEnum):
    """How it ended."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry. ``hash`` covers every other field and ``previous_hash``, so that no row can be changed unseen."""

    number: int
    at: datetime
    caller_id: str
    caller_kind: str
    action: str
    subject: str
    outcome: Outcome
    detail: JSONObject
    previous_hash: str
    hash: str
