"""What can be wrong with a model file that somebody asks for."""

from bodhi_asgi.errors import Conflict, Invalid, NotFound, Unavailable


class ModelFileNotFound(NotFound):
    """There is no such model file on this machine, or none that the caller may know of."""

    code = "hub_service_error-file_not_found"


class ModelFileUnreadable(Invalid):
    """The file's header cannot be read; the message says why."""

    code = "model_route_error-extraction_failed"


class ModelFileInUse(Conflict):
    """The file is loaded, or something that is configured stands for it, so it is not removed."""

    code = "model_file_in_use"


class ModelFileNotOurs(Conflict):
    """The file lies in a plain folder or is reached through a link; only its owner removes it."""

    code = "model_file_not_ours"


class ModelFileNotRemovable(Unavailable):
    """The file system refuses to remove a file of the cache."""

    code = "model_file_not_removable"
