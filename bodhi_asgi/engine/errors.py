"""What the engine can say no with. Each crosses the engine's socket by its code and arrives as the same class."""

from bodhi_asgi.errors import Busy, Conflict, Invalid, Quarantined, Unavailable


class ContextLengthExceeded(Invalid):
    """The prompt does not fit the context, or ``max_tokens`` is larger than the context."""

    code = "context_length_exceeded"
    openai_code = "context_length_exceeded"


class PromptInvalid(Invalid):
    """The model's chat template or tokenizer refused the messages."""

    code = "prompt_invalid"


class ImagesUnsupported(Invalid):
    """The model reads no images: its settings name no projector."""

    code = "images_unsupported"


class ImageUnreadable(Invalid):
    """An image cannot be decoded, or takes more places than a step or the context has."""

    code = "image_unreadable"


class AdapterUnknown(Invalid):
    """The model has no adapter of the name that a request gives."""

    code = "adapter_unknown"


class ConstraintInvalid(Invalid):
    """What the answer is to be held to is wrong in itself, beyond a limit, or asks for what cannot be enforced."""

    code = "constraint_invalid"


class ConstraintFailed(Invalid):
    """The answer came to a point from which nothing that it is held to can follow; it ends there, incomplete."""

    code = "constraint_failed"


class CapabilityMissing(Invalid):
    """This model is not made for what is asked of it: chat of an encoder, vectors of a model without pooling."""

    code = "capability_missing"


class EngineBusy(Busy):
    """The queue is full; ``retry_after_s``, from 1 to 60, estimates when those ahead will have had their turn."""

    code = "engine_busy"


class EngineLost(Unavailable):
    """The engine process ended while it worked on this request; trying again is sensible."""

    code = "engine_lost"


class EngineStopped(Unavailable):
    """The engine was closed, or is closing, and takes no more requests."""

    code = "engine_stopped"


def stopped_by_operator(model: str) -> EngineStopped:
    """What those are told who waited for a load, or read an answer, that somebody ended by force."""
    return EngineStopped(f"the model '{model}' was unloaded by an operator", model=model)


class ModelLoadFailed(Unavailable):
    """The model file could not be loaded; the message gives the reason."""

    code = "model_load_failed"


class NoRoomForModel(Unavailable):
    """Memory is short and the models that have it are at work; ``retry_after_s`` says when to try again."""

    code = "no_room_for_model"


class EngineAtWork(Conflict):
    """The model is answering and is not unloaded under its readers; ``under_way`` says how many there are."""

    code = "engine_at_work"


class ModelDown(Unavailable):
    """The model's engine has died again and again; ``retry_after_s`` says when it is tried anew."""

    code = "model_down"


class DeadlineExceeded(Unavailable):
    """The request's own deadline passed before its answer was complete."""

    code = "deadline_exceeded"


class WorkCancelled(Unavailable):
    """The request was cancelled by whoever submitted it."""

    code = "cancelled"


class RequestQuarantined(Quarantined):
    """This very request has ended an engine twice."""

    code = "request_quarantined"
