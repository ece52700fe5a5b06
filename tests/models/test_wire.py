"""The shapes of models and aliases, field by field, as the published clients know them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bodhi_asgi.gguf.facts import GgufFacts
from bodhi_asgi.models.types import Alias, FileReference, ModelEntry, ModelQuery, Source
from bodhi_asgi.models.wire import decode_alias, decode_models_query, encode_models
from bodhi_asgi.shelf.types import FileState, LocalFile, ShelvedFile
from bodhi_asgi.types import Page

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
PLACE = FileReference("owner/repo", "model-Q4_K_M.gguf", "2" * 40)
FACTS = GgufFacts(
    kind="model",
    architecture="qwen2",
    parameters=7_000_000_000,
    quantisation="Q4_K_M",
    context_length=32_768,
    chat_template="{{ messages }}",
)
FILE = LocalFile(PLACE.repo, PLACE.filename, PLACE.snapshot, Path("/nowhere"), 4096, 0)
KNOWN = ShelvedFile("key", FILE, FileState.READ, FACTS, ("completion", "tools"), AT, None)
ALIAS = Alias("01J", "", "poet", PLACE, {"temperature": 0.5, "stop": ["x"]}, {"n_ctx": 4096}, None, AT, AT)

METADATA = {
    "capabilities": {
        "vision": False,
        "audio": False,
        "thinking": False,
        "tools": {"function_calling": True, "structured_output": True},
    },
    "context": {"max_input_tokens": 32_768, "max_output_tokens": None},
    "architecture": {
        "family": "qwen2",
        "parameter_count": 7_000_000_000,
        "quantization": "Q4_K_M",
        "format": "gguf",
    },
    "chat_template": "{{ messages }}",
}


def shown(*entries: ModelEntry) -> dict[str, Any]:
    return encode_models(Page(entries, len(entries), 1, 30)).model_dump(mode="json")


def test_a_user_alias_has_these_fields_and_no_others() -> None:
    page = shown(ModelEntry("poet", PLACE, True, ALIAS, 4096, KNOWN))
    assert page == {
        "data": [
            {
                "source": "user",
                "id": "01J",
                "alias": "poet",
                "repo": "owner/repo",
                "filename": "model-Q4_K_M.gguf",
                "snapshot": "2" * 40,
                "access": True,
                "model_params": {},
                "request_params": {"temperature": 0.5, "stop": ["x"]},
                "context_params": ["--ctx-size 4096"],
                "created_at": "2026-05-04T03:02:01Z",
                "updated_at": "2026-05-04T03:02:01Z",
                "size": 4096,
                "metadata": METADATA,
            }
        ],
        "total": 1,
        "page": 1,
        "page_size": 30,
    }


def test_a_model_alias_has_these_fields_and_no_others() -> None:
    page = shown(ModelEntry("owner/repo:Q4_K_M", PLACE, False, None, 4096, KNOWN))
    assert page["data"] == [
        {
            "source": "model",
            "alias": "owner/repo:Q4_K_M",
            "repo": "owner/repo",
            "filename": "model-Q4_K_M.gguf",
            "snapshot": "2" * 40,
            "access": False,
            "size": 4096,
            "metadata": METADATA,
        }
    ]


def test_what_is_not_known_is_null() -> None:
    (model,) = shown(ModelEntry("demo", FileReference("bodhi/settings", "demo"), True))["data"]
    assert (model["size"], model["metadata"], model["snapshot"]) == (None, None, "main")


def test_a_request_is_read_as_clients_write_it() -> None:
    spec = decode_alias(
        {
            "alias": "poet",
            "repo": "owner/repo",
            "filename": "model-Q4_K_M.gguf",
            "snapshot": None,
            "request_params": {
                "frequency_penalty": 0.5,
                "max_tokens": 128,
                "presence_penalty": -0.5,
                "seed": 42,
                "stop": [],
                "temperature": 0.7,
                "top_p": 0.9,
                "user": "ann",
                "system_prompt": "Rhyme.",
            },
            "context_params": ["--ctx-size 4096", "--parallel", "2"],
        }
    )
    assert (spec.name, spec.file) == ("poet", FileReference("owner/repo", "model-Q4_K_M.gguf", "main"))
    assert spec.settings == {"n_ctx": 4096, "slots": 2}
    assert (spec.params.user, spec.params.system_prompt, spec.params.stop) == ("ann", "Rhyme.", [])
    assert decode_alias({"alias": "a", "repo": "b/c", "filename": "d"}).params.stored() == {}


def test_a_query_is_read_as_clients_write_it() -> None:
    assert decode_models_query({}) == ModelQuery()
    query = {
        "page": "2",
        "page_size": "50",
        "sort": "alias",
        "sort_order": "desc",
        "type": "local_file, fallback",
        "size_min": "1",
        "size_max": "2",
        "capability": "vision,Tool_Use",
        "search": "x",
    }
    assert decode_models_query(query) == ModelQuery(
        page=2,
        page_size=50,
        sort="name",
        is_descending=True,
        sources=frozenset({Source.MODEL}),
        size_min=1,
        size_max=2,
        capabilities=frozenset({"vision", "tool_use"}),
        search="x",
    )
    assert decode_models_query({"type": "api_model"}).sources == frozenset()
    assert decode_models_query({"api_format": "openai"}).sources == frozenset()
    assert decode_models_query({"type": "", "api_format": "", "capability": ""}) == ModelQuery()
