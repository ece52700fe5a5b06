"""What can be wrong with asking something of a download."""

from bodhi_asgi.errors import Conflict, Invalid, NotFound, Unavailable


class DownloadNotFound(NotFound):
    """There is no such download."""

    code = "db_error-item_not_found"


class FileAlreadyExists(Invalid):
    """All that was asked for is on the disk already."""

    code = "model_route_error-file_already_exists"


class CannotArchiveActive(Invalid):
    """A download that is not at its end stays in sight; cancel it first."""

    code = "download_service_error-cannot_archive_active"


class NotRetryable(Invalid):
    """Only what failed or was cancelled can be tried again."""

    code = "download_service_error-not_retryable"


class DownloadEnded(Invalid):
    """The download is at its end, and there is nothing to pause, resume or cancel."""

    code = "download_service_error-not_active"


class DownloadFailed(Unavailable):
    """The download that was waited for has failed; ``cause`` is the code of what went wrong."""

    code = "download_failed"


class DownloadCancelled(Conflict):
    """The download that was waited for was cancelled."""

    code = "download_cancelled"
