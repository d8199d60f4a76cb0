"""What the diagnosis costs, beside LLaMA-Factory's own evaluation of the same rows.

    python benchmarks/diagnosis_speed.py
    python benchmarks/diagnosis_speed.py --rounds 9 --batches 8
    python benchmarks/diagnosis_speed.py --size 3b                 # on a CUDA GPU

Needs no network; model and rows are those of `step_cost.py`, 18 clean rows and twins to a batch. LLaMA-Factory's `do_eval` gets
them as plain rows and computes their loss; the diagnosis finds the answers of clean rows and twins, by likelihood and by
generation (8 tokens), with shared prefixes and without. The evaluation loops (data loading, forward passes, scores; not the
report) run in turn, and the medians are compared.
"""

import argparse
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from reference import PLAIN, TWINS, Mix, Shape, recipe, start_evaluation, write
from step_cost import SIZES, interleaved, kernels, machine, timed


STOCK = "stock do_eval"
APART = {"share_prefix": "false"}
GENERATED = {"diagnosis_scoring": "generate", "predict_with_generate": True, "max_new_tokens": 8}
DIAGNOSES: dict[str, dict[str, Any]] = {
    "diagnosis by likelihood": {},
    "diagnosis by likelihood, rows apart": APART,
    "diagnosis by generation": GENERATED,
    "diagnosis by generation, rows apart": GENERATED | APART,
}


def trainers(folder: Path, shape: Shape, mix: Mix) -> dict[str, Any]:
    """By name, trainers that are ready to evaluate all batches of a mix."""
    write(folder, shape, mix)
    plain = {"eval_dataset": PLAIN, "per_device_eval_batch_size": mix.rows}
    twins = {"eval_dataset": TWINS, "per_device_eval_batch_size": mix.examples}
    wanted = {STOCK: plain} | {
        name: {**twins, "plugin": "modality_interference", **keys} for name, keys in DIAGNOSES.items()
    }
    common = {"do_train": False, "do_eval": True}
    return {name: start_evaluation(recipe(folder, shape, mix, **common, **keys)) for name, keys in wanted.items()}


def evaluate(trainer: Any) -> float:
    """Seconds of the evaluation loop."""
    loader = trainer.get_eval_dataloader()
    return timed(lambda: trainer.evaluation_loop(loader, "Evaluation", prediction_loss_only=True), trainer.args.device)


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="evaluations of each kind that count (default: 5)")
    parser.add_argument("--batches", type=int, default=4, help="batches of 18 rows (default: 4)")
    parser.add_argument("--size", choices=SIZES, default="reference")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (default: 2)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kernels(arguments.size)  # refuses what this machine cannot run
    shape, mix = SIZES[arguments.size]
    mix = replace(mix, repeats=arguments.batches)
    with tempfile.TemporaryDirectory() as folder:
        found = trainers(Path(folder), shape, mix)
        device = found[STOCK].args.device
        seconds = interleaved({name: partial(evaluate, trainer) for name, trainer in found.items()}, arguments.rounds)

    rows = mix.rows * mix.repeats
    print(f"\n{rows} rows, {machine(device)}, medians of {arguments.rounds} rounds\n")
    print("| evaluation | seconds | rows/s | / stock |\n| --- | ---: | ---: | ---: |")
    for name, value in seconds.items():
        print(f"| {name} | {value:.3f} | {rows / value:.1f} | {value / seconds[STOCK]:.2f} |")


if __name__ == "__main__":
    main()
