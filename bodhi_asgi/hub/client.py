"""What the hub has: repositories by words, and the files of one. Asked through huggingface_hub, without its manners.

That library reads credentials of its own, tells about the programs of this machine, asks the public hub even when a
mirror is configured, and tries for half a minute. Ours sends what is configured, to where it is configured, in time.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx2

from bodhi_asgi.errors import BodhiError, Invalid, MissingDependency
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubOffline, HubReferenceInvalid, HubUnreachable
from bodhi_asgi.hub.folder import COMMIT
from bodhi_asgi.hub.questions import Questions
from bodhi_asgi.hub.reference import check_filename, check_repo, check_revision
from bodhi_asgi.hub.refusals import Passing, refusal
from bodhi_asgi.hub.transport import USER_AGENT, HubTransport
from bodhi_asgi.hub.types import MAIN, HubFile, RepoDetails, RepoFile, RepoSummary

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

T = TypeVar("T")

MAX_WORDS: Final = 200
MAX_FOUND: Final = 100
MAX_FILES: Final = 10_000
PROBE_AFTER_S: Final = 2.0
KIND: Final = "gguf"


class HubClient:
    """Searches and lists. Each question has ``hub.answer_timeout_s`` in all."""

    def __init__(self, transport: HubTransport) -> None:
        self._transport = transport
        self._access = transport.access
        self._questions = Questions()

    async def search(self, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories with GGUF files whose names have ``words``, most downloaded first, 1 to 100 of them.

        Raises Invalid, HubUnreachable, HubRateLimited, HubTokenRefused, HubAnswerInvalid, HubOffline and
        MissingDependency.
        """
        if not 0 < len(words.strip()) <= MAX_WORDS or not words.isprintable():
            raise Invalid(f"'search' has {len(words)} characters: 1 to {MAX_WORDS} are accepted", param="search")
        if not 1 <= limit <= MAX_FOUND:
            raise Invalid(f"'limit' is {limit}: from 1 to {MAX_FOUND} is accepted", param="limit")

        def ask(api: "HfApi") -> tuple[RepoSummary, ...]:
            found = api.list_models(search=words.strip(), filter=KIND, sort="downloads", limit=limit)
            return tuple(summary for model in found if (summary := _summary(model)) is not None)

        return await self._ask(ask, "", None)

    async def details(self, repo: str, revision: str = MAIN) -> RepoDetails:
        """A repository at a revision, with the sizes and checksums of its files; names that are tricks are left out.

        Raises HubReferenceInvalid, RepositoryNotFound, RepositoryGated, RepositoryDisabled, RevisionNotFound and what
        :meth:`search` does.
        """
        check_repo(repo)
        check_revision(revision)

        def ask(api: "HfApi") -> RepoDetails:
            model = api.model_info(repo, revision=revision, files_metadata=True, timeout=self._access.answer_timeout_s)
            summary = _summary(model)
            if summary is None or COMMIT.fullmatch(model.sha or "") is None:
                raise HubAnswerInvalid(f"the hub does not say at which commit '{repo}' is; is it a hub?", repo=repo)
            return RepoDetails(summary, model.sha or "", _files(model))

        return await self._ask(ask, repo, HubFile(repo, "", revision))

    async def _ask(self, question: "Callable[[HfApi], T]", repo: str, file: HubFile | None) -> T:
        if self._access.is_offline:
            raise HubOffline("the hub is not asked, because hub.mode is 'offline'")
        answer = self._questions.ask(lambda: _asked(question, self._access, repo, file))
        try:
            async with asyncio.timeout(self._access.answer_timeout_s):
                await asyncio.wait({answer}, timeout=PROBE_AFTER_S)
                if not answer.done():
                    await self._probe()
                return await answer
        except TimeoutError:
            raise HubUnreachable(f"the hub did not answer within {self._access.answer_timeout_s:g} s") from None
        finally:
            answer.cancel()

    async def _probe(self) -> None:
        """Learn at once that nobody is there, instead of with the last attempt of the library."""
        try:
            async with self._transport.asking("HEAD", self._access.endpoint, stops_when_told=True):
                return
        except Passing as passing:
            raise passing.error from passing


def _asked(question: "Callable[[HfApi], T]", access: HubAccess, repo: str, file: HubFile | None) -> T:
    """The answer, or our own error. Blocking: runs in a thread."""
    api = _api(access)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        return question(api)
    except BodhiError:
        raise
    except HFValidationError:
        raise HubReferenceInvalid(f"'{repo}' is no repository for the hub", param="repo") from None
    except HfHubHTTPError as error:
        raise refusal(error.response.status_code, error.response.headers, repo, file) from error
    except OfflineModeIsEnabled:
        raise HubOffline("the hub is not asked, because HF_HUB_OFFLINE is set in this process") from None
    except httpx2.TransportError as error:
        raise HubUnreachable("the hub cannot be reached") from error
    except Exception as error:  # what the library makes of an answer that it does not understand
        raise HubAnswerInvalid("the hub's answer cannot be understood; is it a hub?") from error


def _api(access: HubAccess) -> "HfApi":
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingDependency("listing the hub", "hub") from None

    class QuietApi(HfApi):
        """The library's client, with our headers in place of those it gathers."""

        def _build_hf_headers(self, *_: Any, **__: Any) -> dict[str, str]:
            own = access.usable_token
            return {"user-agent": USER_AGENT, **({} if own is None else {"authorization": f"Bearer {own.reveal()}"})}

    return QuietApi(endpoint=access.endpoint, token=False)


def _summary(model: "ModelInfo") -> RepoSummary | None:
    try:
        repo = check_repo(model.id)
    except HubReferenceInvalid:
        return None
    return RepoSummary(
        repo=repo,
        downloads=model.downloads or 0,
        likes=model.likes or 0,
        is_gated=bool(model.gated),
        is_private=bool(model.private),
        modified_at=model.last_modified,
        tags=tuple(model.tags or ()),
    )


def _files(model: "ModelInfo") -> tuple[RepoFile, ...]:
    found = []
    for sibling in (model.siblings or [])[:MAX_FILES]:
        try:
            check_filename(sibling.rfilename)
        except HubReferenceInvalid:
            continue
        sha256 = None if sibling.lfs is None else sibling.lfs.sha256
        found.append(RepoFile(sibling.rfilename, sibling.size or 0, sha256))
    return tuple(sorted(found, key=lambda file: file.filename))
