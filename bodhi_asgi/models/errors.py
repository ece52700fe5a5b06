"""What can be wrong with a model's name or file."""

from bodhi_asgi.errors import NotFound, Unavailable


class ModelNotFound(NotFound):
    """No model of this name, or none that the caller may know of."""

    code = "data_service_error-alias_not_found"
    openai_code = "model_not_found"


class ModelFileMissing(Unavailable):
    """A configured model's file is not where the setting says."""

    code = "model_file_missing"
