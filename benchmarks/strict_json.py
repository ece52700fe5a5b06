"""What strictness costs: our reader of request bodies against the standard library's, which checks nothing.

A chat body of 4 KB as most are, and bodies of the largest size that is accepted by default, each slow for some reader.
The best of several runs counts. A large body is read in one go: its time is how long the event loop waits.
"""

import json
import time
from collections.abc import Callable

from bodhi_asgi.strict_json import JSONInvalid, load_object

BYTES = 4 * 1024 * 1024
TURN = {"role": "user", "content": 'Lorem ipsum dolor sit amet, "consectetur" adipiscing elit.\n' * 4}


def filled(item: bytes) -> bytes:
    """An object with one list that is as long as fits."""
    return b'{"a":[' + b",".join([item] * ((BYTES - 16) // (len(item) + 1))) + b"]}"


BODIES = {
    "chat, 4 KB": json.dumps({"model": "demo", "messages": [TURN] * 14, "temperature": 0.7, "stream": True}).encode(),
    "chat": json.dumps({"messages": [TURN] * (BYTES // 290)}).encode(),
    "one text": b'{"a":"' + b"x" * (BYTES - 8) + b'"}',
    "escapes": b'{"a":"' + b"\\u20ac" * ((BYTES - 8) // 6) + b'"}',
    "integers": filled(b"1"),
    "numbers": filled(b"1.5"),
    "objects": filled(b'{"a":1}'),
    "lists": filled(b"[[[]]]"),
    "refused at the end": filled(b"1")[:-2] + b",1e999]}",
}


def read(load: Callable[[bytes], object], body: bytes) -> None:
    try:
        load(body)
    except JSONInvalid:
        return


def best_ms(load: Callable[[bytes], object], body: bytes) -> float:
    """Milliseconds of the quickest of several runs."""
    count = max(1, 200_000 // len(body))
    runs = []
    for _ in range(7):
        began = time.perf_counter()
        for _ in range(count):
            read(load, body)
        runs.append((time.perf_counter() - began) / count * 1000)
    return min(runs)


def main() -> None:
    for name, body in BODIES.items():
        ours, theirs = best_ms(load_object, body), best_ms(json.loads, body)
        print(f"{name:20} {len(body):9,} bytes   {ours:8.3f} ms   json {theirs:8.3f} ms   ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
