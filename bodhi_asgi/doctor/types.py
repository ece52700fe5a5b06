"""What a diagnosis consists of: findings, each with a status, what was found, and what to do about it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bodhi_asgi.types import JSON, JSONObject


class Status(StrEnum):
    """How it stands with one thing that was looked at."""

    OK = "ok"
    WARNING = "warning"  # it works, and not as well as it could, or not for long
    FAILED = "failed"  # a server with these settings does not work here
    SKIPPED = "skipped"  # not looked at; ``found`` says why


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a diagnosis.

    ``check`` is the stable name of the check, ``subject`` what it looked at when it looks at several (a model's name, a
    setting, an extra). ``found`` and ``advice`` are sentences for people and may change; ``facts`` are for programs,
    with their units in their names. A warning and a failure always have advice.
    """

    check: str
    status: Status
    found: str
    advice: str = ""
    subject: str = ""
    facts: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.advice or self.status in (Status.OK, Status.SKIPPED), "what is wrong needs to be told what to do"

    @property
    def label(self) -> str:
        """The check and its subject in one word."""
        return f"{self.check}:{self.subject}" if self.subject else self.check


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found, in the order it was looked at."""

    findings: tuple[Finding, ...]

    @property
    def has_failed(self) -> bool:
        """Whether any finding is a failure."""
        return self.status is Status.FAILED

    @property
    def status(self) -> Status:
        """The worst status of all findings; what was skipped does not count."""
        counts = self.counts
        return next((status for status in (Status.FAILED, Status.WARNING) if counts[status]), Status.OK)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many findings have each status, by its word."""
        counted = Counter(finding.status for finding in self.findings)
        return {status.value: counted[status] for status in Status}

    def of(self, check: str, subject: str | None = None) -> list[Finding]:
        """The findings of one check, or those about one subject of it."""
        return [finding for finding in self.findings if finding.check == check and subject in (None, finding.subject)]

    def as_json(self) -> JSONObject:
        """The shape that ``bodhi doctor --json`` prints: ``status``, ``counts`` and ``findings``."""
        return {
            "status": self.status.value,
            "counts": dict(self.counts),
            "findings": [
                {
                    "check": finding.check,
                    "subject": finding.subject or None,
                    "status": finding.status.value,
                    "found": finding.found,
                    "advice": finding.advice or None,
                    "facts": dict(finding.facts),
                }
                for finding in self.findings
            ],
        }


def ok(check: str, found: str, *, subject: str = "", **facts: Any) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, found, "", subject, facts)


def warning(check: str, found: str, advice: str, *, subject: str = "", **facts: Any) -> Finding:
    """It works, with a drawback; ``advice`` says how to be rid of it."""
    return Finding(check, Status.WARNING, found, advice, subject, facts)


def failed(check: str, found: str, advice: str, *, subject: str = "", **facts: Any) -> Finding:
    """It does not work; ``advice`` says what to do."""
    return Finding(check, Status.FAILED, found, advice, subject, facts)


def skipped(check: str, because: str, advice: str = "", *, subject: str = "", **facts: Any) -> Finding:
    """Not looked at."""
    return Finding(check, Status.SKIPPED, because, advice, subject, facts)
