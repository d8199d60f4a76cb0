"""Attention of one layer over rows that share prefixes: by parts, by groups with gathered keys, and with rows apart.

    python benchmarks/shared_attention.py
    python benchmarks/shared_attention.py --rounds 9 --only system,images --json attention.json

Needs no model and no network. Forward and backward pass of the attention function alone, with random queries, keys and values
(float32, 4 heads of width 64, 2 key heads, as the reference model of `step_cost.py`). *By parts* and *by groups* are the two
ways of `RowAttention`; *rows apart* is torch's attention for a padded batch with transformers' causal mask left out, which is the
fastest that rows without sharing can get, and computes every shared token for each row. In every round each way runs once. Times
are the CPU time of the process, which other processes of a busy machine change less than the time on the clock; with one thread
(the default) the two are the same on a quiet machine. `clips` takes minutes, most of them for rows apart.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from modality_interference.attention import row_attention
from modality_interference.attention.prefix import CommonPrefixes, PackedRows
from modality_interference.attention.row_attention import RowAttention
from modality_interference.batching.batch import TwinBatch
from modality_interference.modality import IGNORE_LABEL


HEADS, KEY_HEADS, WIDTH = 4, 2, 64
WAYS = PARTS, GROUPS, APART = ("by parts", "by groups", "rows apart")
NO_MASK = torch.empty(1, 1, 0, 0, dtype=torch.bool)


@dataclass(frozen=True)
class Case:
    """A batch.

    Attributes:
        title: what it is.
        families: how many groups of rows share a prefix.
        rows: of a family.
        shared: tokens that they share.
        own: tokens of each row besides.
    """

    title: str
    families: int
    rows: int
    shared: int
    own: int


CASES = {
    "system": Case("one system prompt of 20 tokens, 18 rows of 150 more", 1, 18, 20, 150),
    "pictures": Case("2 images of 64 tokens, 9 rows each with 150 more", 2, 9, 66, 150),
    "images": Case("8 images of 1,280 tokens, each with 5 rows of 60 more", 8, 5, 1280, 60),
    "clips": Case("4 clips of 8,000 tokens, each with 5 rows of 60 more", 4, 5, 8000, 60),
}


class _Layer(nn.Module):
    layer_idx, is_causal, num_key_value_groups = 0, True, HEADS // KEY_HEADS


def pack(case: Case) -> PackedRows:
    """The rows of a case, packed."""
    length = case.shared + case.own
    ids = torch.arange(case.families * case.rows * length).view(case.families, case.rows, length) + 1
    ids[:, :, : case.shared] = ids[:, :1, : case.shared]
    ids = ids.flatten(0, 1)
    count = len(ids)
    batch = TwinBatch(
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        labels=torch.full_like(ids, IGNORE_LABEL),
        twin_of=torch.zeros(count, dtype=torch.long),
        row_key=torch.arange(count),
        perturbation_mask=torch.zeros_like(ids, dtype=torch.bool),
        media_index=None,
        questions=None,
        token_modality=torch.zeros_like(ids),
        relevant=torch.zeros(count),
    )
    return CommonPrefixes(batch, all_tokens=True).pack(torch.arange(count), torch.arange(0))


def states(rows: int, tokens: int) -> list[Tensor]:
    """Queries, keys and values as models lay them down: token by token."""
    return [
        torch.randn(rows, tokens, heads, WIDTH).transpose(1, 2).requires_grad_()
        for heads in (HEADS, KEY_HEADS, KEY_HEADS)
    ]


def ways(case: Case) -> dict[str, Callable[[], None]]:
    """Forward and backward of each way."""
    rows = pack(case)
    packed, apart = states(1, rows.length), states(case.families * case.rows, case.shared + case.own)
    attention = RowAttention(rows)

    def shared(by_parts: bool) -> None:
        switch = nullcontext() if by_parts else patch.object(row_attention, "kernel_takes", lambda *_: False)
        with switch:
            output = attention.attend(sdpa_attention_forward, _Layer(), *packed, NO_MASK, scaling=WIDTH**-0.5)

        torch.autograd.grad(output, packed, torch.ones_like(output))

    def separate() -> None:
        output = scaled_dot_product_attention(*apart, is_causal=True, enable_gqa=True)
        torch.autograd.grad(output, apart, torch.ones_like(output))

    return {PARTS: lambda: shared(True), GROUPS: lambda: shared(False), APART: separate}


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Median seconds of each way."""
    runs = ways(case)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:  # the first round warms up
                seconds[name].append(time.process_time() - start)

    return {name: statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="that count (default: 5)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(CASES), help="such as system,images")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(
        f"| rows | {', s | '.join(WAYS)}, s | parts / groups | parts / apart |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    found = {}
    for name in arguments.only:
        found[name] = seconds = measure(CASES[name], arguments.rounds)
        numbers = [f"{seconds[way]:.3g}" for way in WAYS]
        ratios = [f"{seconds[PARTS] / seconds[other]:.2f}" for other in (GROUPS, APART)]
        print(f"| {CASES[name].title} | {' | '.join([*numbers, *ratios])} |", flush=True)

    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
