"""What can be wrong with a model's name, its alias or its file."""

from bodhi_asgi.errors import Forbidden, Invalid, NotFound, Unavailable


class ModelNotFound(NotFound):
    """No model of this name, or none that the caller may know of."""

    code = "data_service_error-alias_not_found"
    openai_code = "model_not_found"


class ModelFileMissing(Unavailable):
    """A model's file is not where its setting or alias says, or it is not whole."""

    code = "model_file_missing"


class AliasNotFound(NotFound):
    """No alias with this id among those that the caller may know of."""

    code = "data_service_error-alias_not_found"


class AliasExists(Invalid):
    """The name is taken: by a setting, another alias, or a file that was found."""

    code = "data_service_error-alias_exists"


class AliasNameInvalid(Invalid):
    """A model cannot be called that."""

    code = "validation_error"


class AliasShared(Forbidden):
    """The alias belongs to the application, which alone changes it; a copy may be anybody's own."""

    code = "alias_shared"


class TooManyAliases(Invalid):
    """Nobody may have more aliases than this."""

    code = "too_many_aliases"
