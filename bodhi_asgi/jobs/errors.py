"""What a worker can be told about a job that it holds."""

from bodhi_asgi.errors import Conflict


class ClaimLost(Conflict):
    """The job was dropped, or its lease ran out and another worker has it."""

    code = "job_claim_lost"
