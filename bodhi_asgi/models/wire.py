"""The shapes of ``/bodhi/v1/models`` and of aliases, and from them to what the verbs take and back."""

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.management.files import ModelAliasResponse
from bodhi_asgi.formats.management.metadata import ModelMetadata, encode_metadata
from bodhi_asgi.models.flags import MAX_PARAM_CHARS, MAX_PARAMS, params_of, settings_of
from bodhi_asgi.models.params import RequestParams
from bodhi_asgi.models.types import MAIN, AliasSpec, Capability, FileReference, ModelEntry, ModelQuery, Sort, Source
from bodhi_asgi.types import INT64_MAX, JSONObject, Page
from bodhi_asgi.validation import WireModel, validated
from bodhi_asgi.wire.keep_alive import KeepAlive

N = TypeVar("N", int, None)

TYPES: Final[Mapping[str, Source | None]] = MappingProxyType(
    {"local_file": Source.MODEL, "model_alias": Source.USER, "api_model": None, "fallback": None}
)
"""The kinds of models by their names in queries; of the last two there are none yet."""

API_FORMATS: Final = ("openai", "responses", "anthropic", "gemini", "liberty")
CAPABILITIES: Final[tuple[str, ...]] = get_args(Capability)
SORTS: Final = ("name", "alias", "repo", "filename", "source")
ORDERS: Final = ("asc", "desc")
MAX_LIST_CHARS: Final = 256

WHOLE_NUMBER: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0, "maximum": INT64_MAX}
MODELS_QUERY: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "page": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30},
        "sort": {"type": "string", "enum": list(SORTS), "default": "name"},
        "sort_order": {"type": "string", "enum": list(ORDERS), "default": "asc"},
        "type": {"type": "string", "description": f"With commas between: {', '.join(TYPES)}."},
        "api_format": {"type": "string", "description": f"With commas between: {', '.join(API_FORMATS)}."},
        "capability": {"type": "string", "description": f"With commas between: {', '.join(CAPABILITIES)}."},
        "size_min": WHOLE_NUMBER,
        "size_max": WHOLE_NUMBER,
        "search": {"type": "string", "maxLength": MAX_LIST_CHARS},
    }
)


class UserAliasRequest(WireModel):
    """What an alias shall be. ``context_params`` are flags of llama.cpp's server that mean settings of ours.

    ``settings`` says the same by our own names; ``keep_alive`` is how long the model stays loaded after a request.
    """

    alias: Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 128})]
    repo: Annotated[str, Field(max_length=200)]
    filename: Annotated[str, Field(max_length=1024)]
    snapshot: Annotated[str, Field(max_length=255)] | None = None
    request_params: RequestParams | None = None
    context_params: (
        Annotated[list[Annotated[str, Field(max_length=MAX_PARAM_CHARS)]], Field(max_length=MAX_PARAMS)] | None
    ) = None
    settings: Annotated[dict[str, Any], Field(max_length=MAX_PARAMS)] | None = None
    keep_alive: KeepAlive | None = None


class CopyAliasRequest(WireModel):
    """The name of the copy."""

    alias: Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 128})]


class UserAliasResponse(BaseModel):
    """An alias. ``access`` says whether the caller may use it, ``size`` is null where its file is not here."""

    source: Literal["user"] = "user"
    id: str
    alias: str
    repo: str
    filename: str
    snapshot: str
    access: bool
    model_params: dict[str, Any] = Field(default_factory=dict)
    request_params: dict[str, Any]
    context_params: list[str]
    created_at: datetime
    updated_at: datetime
    size: int | None = None
    metadata: ModelMetadata | None = None
    keep_alive: float | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = serialise(self)
        return {name: value for name, value in shown.items() if value is not None or name != "keep_alive"}


class ModelPage(BaseModel):
    """One page of all models, each of its kind."""

    data: list[Annotated[UserAliasResponse | ModelAliasResponse, Field(discriminator="source")]]
    total: int
    page: int
    page_size: int


def decode_alias(body: JSONObject | UserAliasRequest) -> AliasSpec:
    """What the verbs take. Raises Invalid naming the field that is wrong."""
    wire = body if isinstance(body, UserAliasRequest) else validated(UserAliasRequest, body)
    settings = settings_of(wire.context_params or ())
    twice = next((name for name in wire.settings or {} if name in settings), None)
    if twice is not None:
        raise Invalid(f"'{twice}' stands in 'context_params' too; say it once", param=f"settings.{twice}")
    return AliasSpec(
        name=wire.alias,
        file=FileReference(wire.repo, wire.filename, wire.snapshot or MAIN),
        params=wire.request_params or RequestParams(),
        settings={**settings, **(wire.settings or {})},
        keep_alive_s=wire.keep_alive,
    )


def decode_copy(body: JSONObject) -> str:
    """The name that is asked for."""
    return validated(CopyAliasRequest, body).alias


def decode_models_query(query: Mapping[str, str]) -> ModelQuery:
    """Which models are wanted. Raises Invalid naming the parameter."""
    sort = _word(query, "sort", SORTS, "name")
    types, formats = _words(query, "type", TYPES), _words(query, "api_format", API_FORMATS)
    sources = {TYPES[name] for name in types} if types else set(Source)
    return ModelQuery(
        page=_number(query, "page", 1),
        page_size=_number(query, "page_size", 30),
        sort=cast("Sort", "name" if sort == "alias" else sort),
        is_descending=_word(query, "sort_order", ORDERS, "asc") == "desc",
        # Only models of remote providers have a format.
        sources=frozenset() if formats else frozenset(source for source in sources if source is not None),
        size_min=_number(query, "size_min", None),
        size_max=_number(query, "size_max", None),
        capabilities=cast("frozenset[Capability]", frozenset(_words(query, "capability", CAPABILITIES))),
        search=query.get("search", ""),
    )


def encode_entry(entry: ModelEntry) -> UserAliasResponse | ModelAliasResponse:
    file, known, alias = entry.file, entry.known, entry.alias
    metadata = None if known is None else encode_metadata(known.facts, known.capabilities)
    if alias is None:
        return ModelAliasResponse(
            alias=entry.name,
            repo=file.repo,
            filename=file.filename,
            snapshot=file.snapshot,
            access=entry.access,
            size=entry.size_bytes,
            metadata=metadata,
        )
    return UserAliasResponse(
        id=alias.id,
        alias=alias.name,
        repo=file.repo,
        filename=file.filename,
        snapshot=file.snapshot,
        access=entry.access,
        request_params=alias.params,
        context_params=params_of(alias.settings),
        created_at=alias.created_at,
        updated_at=alias.updated_at,
        size=entry.size_bytes,
        metadata=metadata,
        keep_alive=alias.keep_alive_s,
    )


def encode_alias(entry: ModelEntry) -> UserAliasResponse:
    """An entry that is an alias."""
    shown = encode_entry(entry)
    assert isinstance(shown, UserAliasResponse), "verbs on aliases give aliases"
    return shown


def encode_models(page: Page[ModelEntry]) -> ModelPage:
    data = [encode_entry(entry) for entry in page.data]
    return ModelPage(data=data, total=page.total, page=page.page, page_size=page.page_size)


def _number(query: Mapping[str, str], name: str, default: N) -> int | N:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= INT64_MAX):
        raise Invalid(f"'{name}' is {text[:40]!r}: a whole number up to {INT64_MAX} is accepted", param=name)
    return int(text)


def _word(query: Mapping[str, str], name: str, accepted: tuple[str, ...], default: str) -> str:
    text = query.get(name, default)
    if text not in accepted:
        raise Invalid(f"'{name}' is {text[:40]!r}: {', '.join(accepted)} are accepted", param=name)
    return text


def _words(query: Mapping[str, str], name: str, accepted: Collection[str]) -> list[str]:
    text = query.get(name, "")
    if len(text) > MAX_LIST_CHARS:
        raise Invalid(f"'{name}' has {len(text)} characters; at most {MAX_LIST_CHARS} are accepted", param=name)
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    wrong = next((word for word in words if word not in accepted), None)
    if wrong is not None:
        raise Invalid(f"'{name}' has {wrong[:40]!r}: {', '.join(accepted)} are accepted", param=name)
    return words
