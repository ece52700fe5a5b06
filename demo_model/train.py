"""Training: copying alone first, then the mix; small batches; Muon for matrices and AdamW for the rest.

The schedule counts steps and not seconds, so that the same seed gives the same network on the same machine. Two
processes of one thread share every step, which on two cores is faster than one process of two threads.
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  its usual name

from demo_model.conversation import Conversation, segments
from demo_model.generate import conversations, copies
from demo_model.network import Network, Shape
from demo_model.tokenizer import Tokenizer
from demo_model.tokenizer import train as train_tokenizer

SEED = 20260101
TOKENS_PER_STEP = 2048
POOL = 400
COPY_STEPS = 250
MUON_RATE, ADAM_RATE = 0.02, 3e-3
CONSTANT_UNTIL = 0.35
LOG_EVERY = 50


def encoded(conversation: Conversation, tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation and which of them are learned."""
    tokens: list[int] = []
    learned: list[bool] = []
    for text, is_learned in segments(conversation):
        part = tokenizer.encode(text)
        tokens += part
        learned += [is_learned] * len(part)
    return tokens, learned


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of conversations of like length: tokens, and targets with -100 where nothing is learned."""
    rng = random.Random(seed)
    stream = conversations(seed)
    steps = 0
    while True:
        copying = steps < COPY_STEPS
        pool = []
        for _ in range(POOL):
            mixed = copying or rng.random() < 0.1
            most = 1 + min(12, steps * 4 // COPY_STEPS) if copying else 12
            pool.append(encoded(copies(rng, most) if mixed else next(stream), tokenizer))
        pool.sort(key=lambda item: len(item[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for item in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(item[0]) > TOKENS_PER_STEP:
                groups.append([])
            groups[-1].append(item)
        rng.shuffle(groups)
        for group in groups:
            steps += 1
            length = max(len(tokens) for tokens, _ in group)
            inputs = torch.zeros(len(group), length, dtype=torch.long)
            targets = torch.full((len(group), length), -100)
            for row, (tokens, learned) in enumerate(group):
                inputs[row, : len(tokens)] = torch.tensor(tokens)
                shifted = [
                    token if is_learned else -100 for token, is_learned in zip(tokens[1:], learned[1:], strict=True)
                ]
                targets[row, : len(tokens) - 1] = torch.tensor(shifted)
            yield inputs, targets


class Muon:
    """Momentum, orthogonalised by Newton and Schulz's iteration. Source: Keller Jordan, "Muon" (2024).

    Every process does a share of the matrices.
    """

    def __init__(self, parameters: list[Tensor], rank: int, world: int, momentum: float = 0.95) -> None:
        self.parameters, self.rank, self.world, self.momentum = parameters, rank, world, momentum
        self.buffers = [torch.zeros_like(parameter) for parameter in parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        updates = [torch.zeros_like(parameter) for parameter in self.parameters]
        for index, (parameter, buffer) in enumerate(zip(self.parameters, self.buffers, strict=True)):
            buffer.lerp_(parameter.grad, 1 - self.momentum)
            if index % self.world == self.rank:
                rows, columns = parameter.shape
                ahead = parameter.grad.lerp(buffer, self.momentum)
                updates[index] = orthogonal(ahead) * max(1, rows / columns) ** 0.5
        sum_over_processes(updates, self.world)
        for parameter, update in zip(self.parameters, updates, strict=True):
            parameter.sub_(update, alpha=rate)


def sum_over_processes(tensors: list[Tensor], world: int) -> None:
    """Add up what all processes have, in place."""
    if world > 1:
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def orthogonal(matrix: Tensor) -> Tensor:
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if wide else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        product = x @ x.T
        x = a * x + (b * product + c * product @ product) @ x
    return x.T if wide else x


def rate(step: int, steps: int) -> float:
    """The share of the learning rate: warm, constant, then falling to nothing."""
    done = step / steps
    if step < 20:
        return (step + 1) / 20
    return 1.0 if done < CONSTANT_UNTIL else max(0.0, (1 - done) / (1 - CONSTANT_UNTIL))


def run(folder: Path, steps: int, world: int, save_every: int) -> None:
    """Train in this process; with ``world`` two, together with the other one."""
    rank = int(os.environ.get("RANK", "0"))
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = Tokenizer.load(folder / "merges.json")
    network = Network(Shape(len(tokenizer.tokens)))
    if world > 1:
        dist.init_process_group("gloo", rank=rank, world_size=world)
    matrices = [p for name, p in network.blk.named_parameters() if p.ndim == 2]
    rest = [p for p in network.parameters() if all(p is not m for m in matrices)]
    muon = Muon(matrices, rank, world)
    adam = torch.optim.AdamW(rest, ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0)
    parameters = [*matrices, *rest]
    source = batches(tokenizer, SEED + rank)
    began, seen, loss_sum = time.monotonic(), 0, 0.0
    for step in range(steps):
        inputs, targets = next(source)
        share = rate(step, steps)
        wanted = targets != -100
        loss = F.cross_entropy(network.logits(network.hidden(inputs)[wanted]), targets[wanted])
        (loss / world).backward()
        sum_over_processes([p.grad for p in parameters], world)
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        muon.step(MUON_RATE * share)
        adam.param_groups[0]["lr"] = ADAM_RATE * share
        adam.step()
        for p in parameters:
            p.grad = None
        seen += inputs.numel()
        loss_sum += loss.item()
        if rank == 0 and (step + 1) % LOG_EVERY == 0:
            speed = seen / (time.monotonic() - began)
            print(
                f"step {step + 1}/{steps} loss {loss_sum / LOG_EVERY:.4f} {speed:.0f} tokens/s per process", flush=True
            )
            loss_sum = 0.0
        if rank == 0 and ((step + 1) % save_every == 0 or step + 1 == steps):
            torch.save(network.state_dict(), folder / "network.pt")
    if world > 1:
        dist.destroy_process_group()


def prepare(folder: Path) -> None:
    """Learn the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = conversations(SEED)
    texts = ["".join(text for text, _ in segments(next(stream))) for _ in range(6000)]
    train_tokenizer(texts).save(folder / "merges.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo_model/build"))
    parser.add_argument("--steps", type=int, default=4400)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250)
    arguments = parser.parse_args()
    run(arguments.folder, arguments.steps, arguments.world, arguments.save_every)


if __name__ == "__main__":
    main()
