"""What a database can answer besides rows."""

from bodhi_asgi.errors import ConfigurationInvalid, Conflict, Invalid, Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or did not answer in time."""

    code = "database_unavailable"


class DatabaseOutdated(ConfigurationInvalid):
    """The database lacks migrations, and the settings say not to run them."""

    code = "database_outdated"


class DatabaseInherited(Conflict):
    """A SQLite file was open when this process was forked, and its locks do not hold here; see what would."""

    code = "database_inherited"


class ConstraintViolated(Conflict):
    """A unique, foreign key or not-null constraint refuses the row."""

    code = "constraint_violated"


class TextInvalid(Invalid):
    """A text holds a NUL character, which PostgreSQL cannot store."""

    code = "text_invalid"
