"""What can go wrong between us and the hub. A message says what to do; none carries a token or a signed address."""

from bodhi_asgi.errors import Busy, Forbidden, Invalid, NotFound, Unavailable


class HubReferenceInvalid(Invalid):
    """A repository, revision, file or quantisation is not written as the hub writes it."""

    code = "hub_service_error-invalid_filename"


class RepositoryNotFound(NotFound):
    """The hub has no such repository, or it is private and the token may not see it."""

    code = "hub_service_error-may_not_exist"


class RevisionNotFound(NotFound):
    """The repository has no such branch, tag or commit."""

    code = "hub_service_error-may_not_exist"


class HubFileNotFound(NotFound):
    """The repository has no such file at that revision."""

    code = "hub_service_error-file_not_found"


class RepositoryDisabled(NotFound):
    """The hub has taken the repository out of circulation."""

    code = "hub_service_error-repo_disabled"


class RepositoryGated(Forbidden):
    """The repository's terms must be accepted on the hub first, by the account that the token belongs to."""

    code = "hub_service_error-gated_access"


class HubTokenRefused(Forbidden):
    """The hub does not accept the configured token."""

    code = "hub_service_error-token_refused"


class HubUnreachable(Unavailable):
    """The hub cannot be reached, does not answer in time, or answers with failures of its own."""

    code = "hub_service_error-transport"


class HubOffline(Unavailable):
    """The network is switched off by the setting ``hub.offline``, and this is not in the cache."""

    code = "hub_service_error-offline"


class HubAnswerInvalid(Unavailable):
    """The hub answered with something that its protocol does not allow, such as a file without a size."""

    code = "hub_service_error-answer_invalid"


class RedirectRefused(Unavailable):
    """The hub sends us to an address that we do not visit: a private one, or one without encryption."""

    code = "hub_service_error-redirect_refused"


class ProxyRefused(Unavailable):
    """The proxy of the setting ``hub.proxy`` does not let us through."""

    code = "hub_service_error-proxy_refused"


class HubRateLimited(Busy):
    """The hub asks us to come back later; ``retry_after_s`` says when."""

    code = "hub_service_error-rate_limited"


class HubFileCorrupt(Unavailable):
    """What arrived is not the file that the hub announced: its size or its checksum differs. Nothing of it is kept."""

    code = "hub_service_error-checksum"


class DiskFull(Unavailable):
    """The file system of the cache has no room for the file. What has arrived is kept for the next attempt."""

    code = "hub_service_error-disk_full"


class CacheNotWritable(Unavailable):
    """The cache's folder cannot be written."""

    code = "hub_service_error-cache_not_writable"
