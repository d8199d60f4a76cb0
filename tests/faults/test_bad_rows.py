"""Bad rows of all kinds: a run drops and counts them, and goes on with the others."""

import json
import math
import re

from helpers.bad_rows import write_bad_rows
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp
from PIL import Image

from modality_interference.cli.check import check_dataset_folder
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


def test_images_that_read_otherwise_than_they_look_are_remarked_once_a_run(checkpoint, tmp_path, warnings):
    folder, exif = tmp_path / "data", Image.Exif()
    folder.mkdir()
    exif[0x0112] = 6
    for name in ("turned", "again"):
        Image.new("RGB", (40, 30), "red").save(folder / f"{name}.jpg", exif=exif)

    Image.new("I;16", (40, 30), 3000).save(folder / "deep.png")
    Image.new("RGB", (40, 30), "red").save(folder / "plain.png")
    row = {"question": "Which colour?", "choices": ["red", "green"], "answer": "A"}
    rows = [row | {"images": [name]} for name in ("plain.png", "turned.jpg", "deep.png", "again.jpg", "turned.jpg")]
    (folder / "rows.json").write_text(json.dumps(rows))
    twins = {"relevant": ["image"], "perturbations": ["misleading_text"]}
    columns = {name: name for name in ("question", "choices", "answer", "images")}
    entry = {"file_name": "rows.json", "formatting": "multiple_choice_twins", "columns": columns, "twins": twins}
    (folder / "dataset_info.json").write_text(json.dumps({"rows": entry}))
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", folder, tmp_path / "out", dataset="rows")
    for run in (1, 2):  # the second from the cache
        assert len(load_data(keys).train) == len(rows)
        remarks = [text for text in warnings if "may surprise" in text]
        assert len(remarks) == run and not any("dropped" in text for text in warnings)

    said = remarks[0]
    assert said.startswith("Dataset rows: 4 images of 5 rows are read as LLaMA-Factory reads them")
    assert f"3 x image stored turned (first: row 1: image `{folder}/turned.jpg`: EXIF orientation 6" in said
    assert f"1 x image of more than 8 bits (first: row 2: image `{folder}/deep.png`: " in said
    findings = check_dataset_folder(folder, len(rows))
    assert not any("`rows`" in problem for problem in findings.messages) and findings.notes["rows"][1] == said
