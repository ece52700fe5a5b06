"""Two small encoders with weights made by hand: one whose vectors stand for meanings, one that ranks by common words.

Both have the BERT architecture with a WordPiece vocabulary, as the files of real embedding models do, and are written
in well under a second. Their sums are done again in numpy here, so that llama.cpp's numbers can be held to something.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNK, CLS, SEP = 1, 2, 3
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-"
PHANTOM: Final = "\u2581"
"""How llama.cpp writes the beginning of a word in a WordPiece vocabulary."""

MEANINGS: Final = tuple(
    tuple(line.split())
    for line in """
        cat cats kitten kittens purrs purring meows whiskers feline paws
        bread bakes baking oven flour dough loaf bakery crust yeast
        rain rains storm clouds thunder weather wet umbrella drizzle sky
        code program compiler bug function software debug script python test
        train trains station railway ticket platform rails journey travel carriage
    """.strip().splitlines()
)
"""Words that mean similar things; the vectors of one group point the same way."""

FILLERS: Final = tuple(
    "the a an is are on in of and to my our it was with for that this at by from near what who how".split()  # noqa: SIM905
)

WIDTH: Final = 64
CONTEXT: Final = 128
INNER: Final = 96
EPSILON: Final = 1e-6
SEED: Final = 11

LIKENESS: Final = 4.5
MIDDLE: Final = 2.75
GAIN: Final = 16.0

WORDS: Final = (*(word for group in MEANINGS for word in group), *FILLERS)
BEGINNINGS: Final = dict.fromkeys(PHANTOM + word for word in (*WORDS, *LETTERS))
VOCABULARY: Final = (*SPECIAL, *BEGINNINGS, *LETTERS)

SENTENCES: Final = (
    "the cat purrs on my paws",
    "bread bakes in the oven",
    "thunder and rain from the clouds",
    "a bug in the compiler",
    "the train is at the station",
)
"""One about each meaning, in the order of :data:`MEANINGS`."""

PARAPHRASES: Final = (
    "kittens meows and whiskers",
    "a loaf of dough and flour",
    "the storm was wet weather",
    "debug a function in python",
    "a ticket for the railway journey",
)
"""Another sentence about each, which shares no word with the first that means anything."""


def tokens_of(text: str) -> list[int]:
    """WordPiece, the greedy way: whole words, else letters."""
    index = {piece: number for number, piece in enumerate(VOCABULARY)}
    found = []
    for word in re.findall(r"\w+|[^\w\s]", text.lower()):
        if (whole := index.get(PHANTOM + word)) is not None:
            found.append(whole)
        elif all(letter in LETTERS for letter in word):
            found += [index[PHANTOM + word[0]], *(index[letter] for letter in word[1:])]
        else:
            found.append(UNK)
    return found


@dataclass(frozen=True)
class Layer:
    """Weights of one layer, each a matrix of outputs by inputs, with its bias where it has one."""

    query: Array
    key: Array
    value: Array
    query_bias: Array
    value_bias: Array
    output: Array
    up: Array
    down: Array


@dataclass(frozen=True)
class Encoder:
    """A whole model; ``classifier`` is what a cross-encoder has above it."""

    embedding: Array
    positions: Array
    layers: tuple[Layer, ...]
    heads: int = 4
    classifier: tuple[Array, float] | None = None

    def states(self, tokens: list[int]) -> Array:
        """The last layer's state of each token."""
        state = _normal(self.embedding[tokens] + self.positions[: len(tokens)])
        for layer in self.layers:
            state = _normal(state + _attention(layer, state, self.heads))
            state = _normal(state + _gelu(state @ layer.up.T) @ layer.down.T)
        return state

    def vector(self, text: str) -> Array:
        """The mean of the states, of length one: what mean pooling makes of a text."""
        mean = self.states([CLS, *tokens_of(text), SEP]).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def score(self, query: str, document: str) -> float:
        """From 0 to 1: what rank pooling makes of a pair."""
        assert self.classifier is not None
        weight, bias = self.classifier
        first = self.states([CLS, *tokens_of(query), SEP, *tokens_of(document), SEP])[0]
        return float(1 / (1 + np.exp(-(weight @ first + bias))))


def meaning_model() -> Encoder:
    """Tokens of one meaning have nearly one vector, and attention mixes a little of the whole text into each."""
    random = np.random.default_rng(SEED)
    directions = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    embedding = random.normal(scale=0.3 / np.sqrt(WIDTH), size=(len(VOCABULARY), WIDTH))
    for number, group in enumerate(MEANINGS):
        for word in group:
            embedding[VOCABULARY.index(PHANTOM + word)] += directions[number]
    for word in FILLERS:
        embedding[VOCABULARY.index(PHANTOM + word)] += directions[-1]
    embedding[: len(SPECIAL)] += directions[-1]
    shapes = ((WIDTH, WIDTH), (WIDTH, WIDTH), (INNER, WIDTH), (WIDTH, INNER))
    small = [random.normal(scale=0.02, size=shape) for shape in shapes]
    half = np.eye(WIDTH) * 0.7
    nothing = np.zeros(WIDTH)
    layer = Layer(small[0], small[1], half, nothing, nothing, half, small[2], small[3])
    positions = random.normal(scale=0.01, size=(CONTEXT, WIDTH))
    return _single(Encoder(embedding, positions, (layer,)))


def overlap_model() -> Encoder:
    """Ranks a pair by how many of its words stand in both parts.

    In the first layer each token looks at its likes and at ``[CLS]``, which has the value 0 where all others have 1: a
    word that is there twice sees more ones. In the second ``[CLS]`` takes the mean of what the others saw.
    """
    random = np.random.default_rng(SEED + 1)
    is_cls, seen, mean = 0, 1, 2
    embedding = random.normal(size=(len(VOCABULARY), WIDTH))
    embedding[:, :3] = 0
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    embedding[CLS] = 0
    embedding[CLS, is_cls] = 1
    strength = np.sqrt(WIDTH)  # the length of a normalised vector
    alike = np.eye(WIDTH) * np.sqrt(LIKENESS * np.sqrt(WIDTH) / WIDTH)
    alike[:3] = 0
    query, key, bias = alike.copy(), alike.copy(), np.zeros(WIDTH)
    key[is_cls, is_cls] = LIKENESS
    bias[is_cls] = 1
    ones = np.zeros((WIDTH, WIDTH))
    ones[seen, is_cls] = -1 / strength
    one = np.zeros(WIDTH)
    one[seen] = 1
    outward = np.eye(WIDTH) * 6.0
    nothing, none = np.zeros(WIDTH), np.zeros((WIDTH, WIDTH))
    no_up, no_down = np.zeros((INNER, WIDTH)), np.zeros((WIDTH, INNER))
    mix = np.zeros((WIDTH, WIDTH))
    mix[mean, seen] = 1
    first = Layer(query, key, ones, bias, one, outward, no_up, no_down)
    second = Layer(none, none, mix, nothing, nothing, np.eye(WIDTH), no_up, no_down)
    weight = np.zeros(WIDTH)
    weight[mean] = GAIN
    return _single(Encoder(embedding, np.zeros((CONTEXT, WIDTH)), (first, second), 1, (weight, -GAIN * MIDDLE)))


def write(
    model: Encoder,
    target: Path,
    *,
    template: str | None = None,
    labels: tuple[str, ...] = (),
    tensors_in_each: int = 0,
) -> Path:
    """The model as a GGUF file, pooled by rank where it has a classifier, else by mean.

    With ``labels`` the classifier has an output for each, all but the first of them zero; ``template`` is how a pair is
    written. With so many ``tensors_in_each`` it is split into parts, of which the first is named.
    """
    writer = gguf.GGUFWriter(str(target), "bert", split_max_tensors=tensors_in_each)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(len(model.layers))
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(model.heads)
    writer.add_layer_norm_eps(EPSILON)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", 4 if model.classifier else 1)
    if template is not None:
        writer.add_string("tokenizer.chat_template.rerank", template)
    if labels:
        writer.add_array("bert.classifier.output_labels", list(labels))
    _write_vocabulary(writer)
    ones, nothing = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", model.embedding)
    writer.add_tensor("position_embd.weight", model.positions)
    writer.add_tensor("token_embd_norm.weight", ones)
    writer.add_tensor("token_embd_norm.bias", nothing)
    for number, layer in enumerate(model.layers):
        tensors = {
            "attn_q.weight": layer.query,
            "attn_q.bias": layer.query_bias,
            "attn_k.weight": layer.key,
            "attn_k.bias": nothing,
            "attn_v.weight": layer.value,
            "attn_v.bias": layer.value_bias,
            "attn_output.weight": layer.output,
            "attn_output_norm.weight": ones,
            "attn_output_norm.bias": nothing,
            "ffn_up.weight": layer.up,
            "ffn_down.weight": layer.down,
            "layer_output_norm.weight": ones,
            "layer_output_norm.bias": nothing,
        }
        for name, values in tensors.items():
            writer.add_tensor(f"blk.{number}.{name}", np.ascontiguousarray(values, np.float32))
    if model.classifier is not None:
        weight, bias = model.classifier
        others = max(0, len(labels) - 1)
        writer.add_tensor("cls.output.weight", np.vstack([weight, np.zeros((others, WIDTH), np.float32)]))
        writer.add_tensor("cls.output.bias", np.array([bias, *[0.0] * others], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return min(target.parent.glob(f"{target.stem}-00001-of-*.gguf")) if tensors_in_each else target


def _write_vocabulary(writer: gguf.GGUFWriter) -> None:
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_tokenizer_model("bert")
    writer.add_token_list(list(VOCABULARY))
    writer.add_token_scores([-1000.0] * len(VOCABULARY))
    writer.add_token_types([int(control if piece in SPECIAL else normal) for piece in VOCABULARY])
    writer.add_token_type_count(1)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(UNK)
    writer.add_bos_token_id(CLS)
    writer.add_uint32("tokenizer.ggml.cls_token_id", CLS)
    writer.add_sep_token_id(SEP)
    writer.add_eos_token_id(SEP)
    writer.add_mask_token_id(4)


def _single(model: Encoder) -> Encoder:
    """The same in single precision, in which it is written and computed."""

    def single(values: Array) -> Array:
        return np.ascontiguousarray(values, np.float32)

    layers = tuple(Layer(*(single(values) for values in vars(layer).values())) for layer in model.layers)
    classifier = None if model.classifier is None else (single(model.classifier[0]), model.classifier[1])
    return Encoder(single(model.embedding), single(model.positions), layers, model.heads, classifier)


def _normal(state: Array) -> Array:
    mean = state.mean(axis=-1, keepdims=True)
    return np.asarray((state - mean) / np.sqrt(state.var(axis=-1, keepdims=True) + EPSILON), np.float32)


def _attention(layer: Layer, state: Array, heads: int) -> Array:
    size = WIDTH // heads
    queries = (state @ layer.query.T + layer.query_bias).reshape(-1, heads, size).transpose(1, 0, 2)
    keys = (state @ layer.key.T).reshape(-1, heads, size).transpose(1, 2, 0)
    values = (state @ layer.value.T + layer.value_bias).reshape(-1, heads, size).transpose(1, 0, 2)
    weights = np.exp(queries @ keys / np.sqrt(size))
    mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ values
    return np.asarray(mixed.transpose(1, 0, 2).reshape(len(state), WIDTH) @ layer.output.T, np.float32)


def _gelu(values: Array) -> Array:
    return np.asarray(values / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3))), np.float32)
