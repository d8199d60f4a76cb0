"""Bad rows of all kinds: a run drops and counts them, and goes on with the others."""

import json
import math
import re

from helpers.bad_rows import write_bad_rows
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp

from modality_interference.results import read_rows


NAMES = "questions,embedded,chats"


def check_summaries(texts, bad) -> None:
    """One summary per dataset, with every kind, its count and its first row, and nothing else."""
    for name, kinds in bad.kinds.items():
        (text,) = [text for text in texts if text.startswith(f"Dataset {name}: dropped")]
        total = sum(map(len, kinds.values()))
        assert text.startswith(f"Dataset {name}: dropped {total} rows or twins of {bad.sizes[name]} rows: ")
        found = re.findall(r"(\d+) x ([^:;()]+) \(first: row (\d+): ", text)
        assert {kind: (int(count), int(row)) for count, kind, row in found} == {
            kind: (len(rows), min(rows)) for kind, rows in kinds.items()
        }
        assert len(text) < 20_000  # no row's 10 MB


def test_training_drops_counts_and_goes_on(checkpoint, tmp_path, warnings):
    bad = write_bad_rows(tmp_path / "data", {"questions": 1600, "embedded": 250, "chats": 150})
    assert len(bad.bad) == 100 and len(bad.good) == 1900
    assert len({kind for kinds in bad.kinds.values() for kind in kinds}) >= 15
    batches = {"max_steps": 4, "per_device_train_batch_size": 4}
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", tmp_path / "data", tmp_path / "out", dataset=NAMES, **batches)
    run_exp(keys)
    check_summaries(warnings, bad)
    log = [json.loads(line) for line in (tmp_path / "out" / "trainer_log.jsonl").read_text().splitlines()]
    assert [entry["current_steps"] for entry in log if math.isfinite(entry.get("loss_sft", math.nan))] == [1, 2, 3, 4]
    kept = load_data(keys | {"overwrite_output_dir": True}).train  # from the cache
    assert set(zip(kept["dataset"], kept["row"])) == bad.good and len(kept) == len(bad.good)
    assert {len(variants) for variants in kept["variants"]} == {1}


def test_a_diagnosis_scores_the_good_rows(checkpoint, tmp_path, warnings):
    bad = write_bad_rows(tmp_path / "data", {"questions": 130, "embedded": 40, "chats": 30})
    overrides = {"do_train": False, "do_eval": True, "dataset": None, "eval_dataset": NAMES, "max_steps": None}
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", tmp_path / "data", tmp_path / "out", **overrides)
    run_exp(keys | {"per_device_eval_batch_size": 32})
    check_summaries(warnings, bad)
    rows = read_rows(tmp_path / "out")
    clean = [(row.dataset, row.row) for row in rows if row.perturbation == "clean"]
    assert set(clean) == bad.good and len(clean) == len(bad.good) == 100
    assert len(rows) == 2 * len(clean)
