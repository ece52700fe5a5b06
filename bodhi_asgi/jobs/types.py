"""A job as the one sees it who is at it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in our hands, until its lease runs out or somebody drops it.

    ``token`` is another one with every claim: what is written in the name of an old claim is refused. ``failures`` is
    how often it went wrong in a row.
    """

    job_id: str
    subject: str
    token: str
    failures: int
