"""How good the shipped file is, in the real llama.cpp: exact answers to held-out phrasings, a row per task.

Two columns: greedy, and sampled as the engine samples when nothing is asked for. Every question counts once. The last
row asks what somebody wrote by hand, which no pattern of the training text makes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from llama_cpp import Llama

from demo_model.conversation import Conversation, assistant, segments, user
from demo_model.export import TARGET
from demo_model.generate import TASKS, instances
from demo_model.handwritten import HAND_WRITTEN
from demo_model.tokenizer import Tokenizer

CONTEXT = 1024
MOST_TOKENS = 260
GREEDY = {"temp": 0.0}
SAMPLED = {"temp": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.1}
TARGETS = {
    "library facts": 95, "small talk": 95, "refusal": 95, "capitals": 95, "echo": 95, "tool call": 95, "valid JSON": 95,
    "tool result": 90, "tools left alone": 90,
}  # fmt: skip
BY_HAND = "questions written by hand"
SHOWN = (
    "Hello", "Who are you?", "What is bodhi_asgi?", "How do I mount it?", "Count to twelve",
    "What is the capital of Norway?", "Repeat after me: green tiger", "What is 12 plus 30?",
    "What is the weather in Paris?", "Tell me a joke",
)  # fmt: skip


def split(conversation: Conversation) -> tuple[str, str]:
    """The prompt up to the last answer, and that answer."""
    pieces = segments(conversation)
    last = max(index for index, (_, is_learned) in enumerate(pieces) if is_learned)
    return "".join(text for text, _ in pieces[:last]), pieces[last][0].removesuffix("<|im_end|>")


def answer(model: Llama, tokenizer: Tokenizer, prompt: str, options: dict[str, float]) -> str:
    """What the model says to a prompt."""
    said: list[int] = []
    model.reset()
    for token in model.generate(tokenizer.encode(prompt), repeat_penalty=1.0, **options):
        if token == model.token_eos() or len(said) >= MOST_TOKENS:
            break
        said.append(token)
    return tokenizer.decode(said)


def is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def questions(task: str, count: int) -> list[tuple[str, str]]:
    """At most ``count`` different prompts of one task, with the expected answers."""
    if task == BY_HAND:
        return [split(Conversation(task, [user(asked), assistant(wanted)])) for asked, wanted in HAND_WRITTEN]
    return list(dict.fromkeys(split(conversation) for conversation in instances(task, 5 * count)))[:count]


def table(path: Path, tokenizer: Tokenizer, count: int, mistakes: int = 0) -> list[str]:
    """The markdown table; some greedy mistakes of every task are printed."""
    model = Llama(str(path), n_ctx=CONTEXT, n_threads=1, seed=1, verbose=False)
    rows = ["| task | different questions | greedy % | sampled % | asked for |", "|---|---|---|---|---|"]
    checks: list[tuple[str, str, Callable[[str, str], bool]]] = [(task, task, str.__eq__) for task in TASKS]
    checks.append(("valid JSON", "JSON", lambda said, _: is_json(said)))
    checks.append((BY_HAND, BY_HAND, str.__eq__))
    for name, task, is_right in checks:
        asked = questions(task, count)
        shares = []
        for options in (GREEDY, SAMPLED):
            said = [answer(model, tokenizer, prompt, options) for prompt, _ in asked]
            wrong = [(*each, text) for each, text in zip(asked, said, strict=True) if not is_right(text, each[1])]
            shares.append(100 - 100 * len(wrong) / len(asked))
            for prompt, expected, text in wrong[:mistakes] if options is GREEDY else ():
                print(f"  {prompt[-150:]!r}\n    wanted {expected!r}\n    said   {text!r}")
        wanted = f"≥ {TARGETS[name]}" if name in TARGETS else ""
        rows.append(f"| {name} | {len(asked)} | {shares[0]:.0f} | {shares[1]:.0f} | {wanted} |")
        print(rows[-1], flush=True)
    return rows


def transcript(path: Path, tokenizer: Tokenizer) -> list[str]:
    """A few questions as people ask them, with the greedy answers."""
    model = Llama(str(path), n_ctx=CONTEXT, n_threads=1, verbose=False)
    lines = []
    for question in SHOWN:
        prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        lines.append(f"- **{question}** {answer(model, tokenizer, prompt, GREEDY)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo_model/build"))
    parser.add_argument("--model", type=Path, default=TARGET)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--mistakes", type=int, default=0, help="how many greedy mistakes of a task to print")
    parser.add_argument("--write", type=Path, help="put the table and transcript between the marks of this page")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.load(arguments.folder / "merges.json")
    lines = [
        *table(arguments.model, tokenizer, arguments.count, arguments.mistakes),
        "",
        *transcript(arguments.model, tokenizer),
    ]
    print("\n".join(lines))
    if arguments.write:
        page = arguments.write.read_text("utf-8")
        head, _, rest = page.partition("<!-- table -->\n")
        _, _, tail = rest.partition("<!-- end -->")
        arguments.write.write_text(f"{head}<!-- table -->\n" + "\n".join(lines) + f"\n<!-- end -->{tail}", "utf-8")


if __name__ == "__main__":
    main()
