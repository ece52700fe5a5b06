"""What every section of the configuration is: frozen, without unknown names, not fooled by YAML's truth values."""

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A group of settings. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool(cls, value: object) -> object:
        # No setting of a section is a truth value, and YAML reads "on" and "yes" as one; it must not become a 1.
        if isinstance(value, bool):
            raise PydanticCustomError("is_bool", "a truth value")
        return value
