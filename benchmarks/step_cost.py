"""What a training step of the method costs, beside plain fine-tuning on the same rows and beside its arithmetic.

    python benchmarks/step_cost.py
    python benchmarks/step_cost.py --rounds 9 --variants a,e --json step_cost.json
    python benchmarks/step_cost.py --size caption                  # answers of 200 tokens
    python benchmarks/step_cost.py --size 3b                       # on a CUDA GPU of 80 GB
    python benchmarks/step_cost.py --size 3b --tuning qlora

Needs no network: the model has random weights, the rows are made of words without a meaning. One batch of 18 rows: 2 examples
about an image with 2 text twins each, 2 about a text with 3 image twins each, 4 that need both; 64 image tokens, 150 text
tokens and 2 answer tokens a row. The variants:

    a        LLaMA-Factory's own SFT on the clean rows and the twins as plain rows
    b        the plugin with nothing but twins
    c        b and the consistency loss
    d        b and PGD with 2 steps
    e        everything
    e-apart  everything, with `share_prefix: false`
    f        freelb in place of PGD

In every round each variant makes one forward and backward pass, and the medians are compared. FLOPs, padding and peak memory
are counted in steps of their own; `costs.py` says how, and what the floor is. Peak memory is what a step holds beyond the
weights. With `--size 3b` gradient checkpointing is on, as in every recipe that does not say otherwise: its repeated forward
passes are in the count, and not in the floor. The floor is that of full tuning, whatever `--tuning` says. FlashAttention-2's own kernels are not in the count.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from costs import Count, Phase, count_step, floor, peak_memory
from reference import (
    CAPTION_MIX,
    MIX_3B,
    REFERENCE,
    REFERENCE_MIX,
    SIZE_3B,
    Mix,
    Shape,
    Started,
    configure,
    start_plugin,
    start_stock,
    write,
)

from modality_interference.batching.batch import TwinBatch


STOCK = "a"
PGD = {"adversarial_method": "pgd", "adversarial_steps": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    STOCK: {},
    "b": {"adversarial_method": "none", "consistency_method": "none"},
    "c": {"adversarial_method": "none", "consistency_method": "js"},
    "d": {**PGD, "consistency_method": "none"},
    "e": {**PGD, "consistency_method": "js"},
    "e-apart": {**PGD, "consistency_method": "js", "share_prefix": "false"},
    "f": {"adversarial_method": "freelb", "adversarial_steps": 2, "consistency_method": "js"},
}
SIZES: dict[str, tuple[Shape, Mix]] = {
    "reference": (REFERENCE, REFERENCE_MIX),
    "caption": (REFERENCE, CAPTION_MIX),
    "3b": (SIZE_3B, MIX_3B),
}


LORA = {"finetuning_type": "lora", "lora_target": "q_proj,k_proj,v_proj,o_proj", "lora_rank": 32}
TUNINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora": LORA,
    "qlora": LORA | {"quantization_bit": 4, "quantization_type": "nf4"},
}


@dataclass
class Cost:
    """What one variant costs.

    Attributes:
        seconds: median of a step's forward and backward.
        memory: peak bytes beyond the weights.
        count: FLOPs and padding.
        floor: FLOPs that its rows and its attack need.
    """

    seconds: float
    memory: int
    count: Count
    floor: Count

    def as_json(self) -> dict[str, Any]:
        """The figures with plain names."""
        flops = {f"flops_{phase}": number for phase, number in self.count.flops.items()}
        return {
            "seconds": self.seconds,
            "peak_bytes": self.memory,
            **flops,
            "flops": self.count.total,
            "floor_flops": self.floor.total,
            "padding_share": self.count.padding_share,
        }


class Bench:
    """Both trainers on one batch, each with a model of its own with the same weights.

    Args:
        folder: for model, data and outputs.
        shape: of the model.
        mix: of the batch.
        stock: whether LLaMA-Factory's own trainer is needed.
        keys: of the recipe, for both.
    """

    def __init__(self, folder: Path, shape: Shape, mix: Mix, stock: bool = True, **keys: Any) -> None:
        write(folder, shape, mix)
        self.plugin = start_plugin(folder, shape, mix, **keys)
        self.stock = start_stock(folder, shape, mix, **keys) if stock else None
        self.device: torch.device = self.plugin.trainer.args.device

    def started(self, variant: str) -> Started:
        """The trainer of a variant, with its keys."""
        if variant == STOCK:
            assert self.stock is not None
            return self.stock

        return self.with_keys(VARIANTS[variant])

    def with_keys(self, keys: dict[str, Any]) -> Started:
        """The plugin's trainer with keys of the recipe."""
        configure(self.plugin, **{"share_prefix": "auto", **keys})
        return self.plugin

    def seconds(self, variant: str) -> float:
        """The time of one step."""
        return timed(self.started(variant).step, self.device)

    def cost(self, variant: str, seconds: float) -> Cost:
        """Count what is not timed."""
        started = self.started(variant)
        count = count_step(started.step, started.model, started.trainer.processing_class.pad_token_id)
        started.model.zero_grad(set_to_none=True)
        memory = peak_memory(started.step, self.device)
        started.model.zero_grad(set_to_none=True)
        return Cost(seconds, memory, count, self.floor(VARIANTS["b" if variant == STOCK else variant]))

    def floor(self, keys: dict[str, Any]) -> Count:
        """The floor of the plugin's step with keys of the recipe; plain rows are like `b`."""
        started = self.with_keys(keys)
        return floor(started.model, TwinBatch.split(started.inputs), started.trainer.finetuning_args)


def timed(step: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a step, which ends by reading its loss."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)

    return time.perf_counter() - start


def interleaved(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Medians of what the steps return, each of which is called once per round; the first round warms up.

    Args:
        steps: by name.
        rounds: how many count.
    """
    found: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 1):
        print(f"round {round_} of {rounds}" if round_ else "warming up", file=sys.stderr, flush=True)
        for name, step in steps.items():
            seconds = step()
            if round_:
                found[name].append(seconds)

    return {name: statistics.median(values) for name, values in found.items()}


def measure(bench: Bench, variants: Iterable[str], rounds: int) -> dict[str, Cost]:
    """Time the variants in turn, then count them."""
    seconds = interleaved({name: lambda name=name: bench.seconds(name) for name in variants}, rounds)
    return {name: bench.cost(name, seconds[name]) for name in variants}


def table(costs: dict[str, Cost]) -> str:
    """The figures as a Markdown table."""
    plain = costs.get(STOCK)
    heads = ["variant", "seconds", "/ a", "peak MB", "/ a", *(f"GFLOP {phase}" for phase in Phase), "GFLOP"]
    lines = [heads + ["floor", "/ floor", "padding"]]
    for name, cost in costs.items():
        flops = [f"{cost.count.flops[phase] / 1e9:.1f}" for phase in Phase]
        lines.append(
            [name, f"{cost.seconds:.3f}", _ratio(cost.seconds, plain and plain.seconds), f"{cost.memory / 1e6:.0f}"]
            + [_ratio(cost.memory, plain and plain.memory), *flops, f"{cost.count.total / 1e9:.1f}"]
            + [f"{cost.floor.total / 1e9:.1f}", _ratio(cost.count.total, cost.floor.total)]
            + [f"{100 * cost.count.padding_share:.1f} %"]
        )

    lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kernels(size: str) -> tuple[str, ...]:
    """LLaMA-Factory's names of the attention kernels to measure."""
    if SIZES[size][0] is REFERENCE:
        return ("sdpa",)

    if not torch.cuda.is_available():
        raise SystemExit(f"--size {size} needs a CUDA GPU, and torch sees none. Use --size reference.")

    return ("sdpa", "fa2") if find_spec("flash_attn") else ("sdpa",)


def machine(device: torch.device) -> str:
    """What the figures were measured on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _ratio(value: float, other: float | None) -> str:
    return f"{value / other:.2f}" if other else ""


def _variants(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}; allowed: {', '.join(VARIANTS)}")

    return names


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each variant that count (default: 5)")
    parser.add_argument("--size", choices=SIZES, default="reference")
    parser.add_argument("--tuning", choices=TUNINGS, default="full", help="qlora needs bitsandbytes (default: full)")
    parser.add_argument("--variants", type=_variants, default=list(VARIANTS), help="such as a,b,e (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    shape, mix = SIZES[arguments.size]
    found: dict[str, Any] = {"size": arguments.size, "tuning": arguments.tuning, "rounds": arguments.rounds}
    for kernel in kernels(arguments.size):
        with tempfile.TemporaryDirectory() as folder:
            tuning = TUNINGS[arguments.tuning]
            bench = Bench(Path(folder), shape, mix, stock=STOCK in arguments.variants, flash_attn=kernel, **tuning)
            costs = measure(bench, arguments.variants, arguments.rounds)

        what = f"{arguments.size}, {arguments.tuning}, {kernel}, {machine(bench.device)}"
        print(f"\n{what}, medians of {arguments.rounds} rounds\n")
        print(table(costs))
        found |= {"machine": machine(bench.device), kernel: {name: cost.as_json() for name, cost in costs.items()}}
        del bench
        torch.cuda.empty_cache()

    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
