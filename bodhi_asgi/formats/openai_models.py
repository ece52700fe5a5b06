"""The OpenAI shapes of ``GET /v1/models`` and ``GET /v1/models/{id}``."""

from typing import Literal

from pydantic import BaseModel

from bodhi_asgi.messages.cards import ModelCard, ModelCards


class ModelObject(BaseModel):
    """One model. ``created`` is in Unix seconds."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """Every model the caller may list."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


def encode_model(card: ModelCard) -> ModelObject:
    return ModelObject(id=card.id, created=card.created, owned_by=card.owned_by)


def encode_models(cards: ModelCards) -> ModelList:
    return ModelList(data=[encode_model(card) for card in cards])
