"""The diagnosis of clips through the real `run_exp`: its figures by prompt, against the labels in the dataset's own file."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.av_data import write_clips
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp

from modality_interference.results import Diagnosis, ScoredRow, read_diagnosis, read_rows


REMOVED = {"twins": {"drop_asked_modality": True, "perturbations": []}}
OTHER = {"swapped_audio": "swapped_audio_label", "swapped_video": "swapped_visual_label"}


@pytest.fixture(scope="module", params=["likelihood", "generate"])
def run(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A diagnosed run, its data beside it."""
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder / "data", clips=6, removed=REMOVED)
    keys = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="clips,removed", max_steps=None, cutoff_len=4096,
        per_device_eval_batch_size=3, overwrite_output_dir=True, diagnosis_scoring=request.param,
    )  # fmt: skip
    if request.param == "generate":
        keys |= dict(predict_with_generate=True, max_new_tokens=8, do_sample=False)

    run_exp(recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", folder / "data", folder / "out", **keys))
    return folder


def found(run: Path) -> tuple[Diagnosis, list[ScoredRow], dict[str, float], list[dict[str, str]]]:
    lines = (run / "data" / "clips.jsonl").read_text().splitlines()
    metrics = json.loads((run / "out" / "eval_results.json").read_text())
    return read_diagnosis(run / "out"), read_rows(run / "out"), metrics, [json.loads(line) for line in lines]


def test_the_other_modality_rate_is_of_answers_with_the_other_clips_class(run):
    diagnosis, rows, metrics, clips = found(run)
    for perturbation, column in OTHER.items():
        twins = [row for row in rows if row.perturbation == perturbation]
        assert sorted(row.row // 2 for row in twins) == list(range(6))
        expected = sum(row.answer == clips[row.row // 2][column] for row in twins) / 6
        stem = f"eval_clips_{perturbation}"
        assert metrics[f"{stem}_other_modality_rate"] == pytest.approx(expected)
        assert f"{stem}_misled_rate" not in metrics
        rate = diagnosis.datasets["clips"].perturbations[perturbation].rates["other_modality_rate"]
        assert rate.value == pytest.approx(expected)

    assert "eval_clips_misleading_caption_misled_rate" in metrics


def test_accuracy_by_prompt_is_that_of_the_labels(run):
    diagnosis, rows, _, clips = found(run)
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        if row.dataset == "clips":
            label = clips[row.row // 2]["visual_label" if row.kind == "video" else "audio_label"]
            right[row.kind, row.perturbation].append(row.answer == label)

    by_kind = diagnosis.datasets["clips"].kinds
    figures = {
        (kind, name): result.rates["accuracy"].value for kind, of in by_kind.items() for name, result in of.items()
    }
    assert figures == pytest.approx({key: sum(values) / len(values) for key, values in right.items()})
    common = {"clean", "misleading_caption", "long_context"}
    assert set(by_kind["video"]) == common | {"swapped_audio", "silence"}
    assert set(by_kind["audio"]) == common | {"swapped_video", "black_frames"}


def test_abstention_is_saying_that_one_cannot_tell(run):
    _, rows, metrics, _ = found(run)
    answers = [row.answer for row in rows if row.dataset == "removed"]
    assert len(answers) == 12
    assert metrics["eval_removed_clean_abstention_rate"] == pytest.approx(answers.count("cannot tell") / 12)
    assert "eval_clips_clean_abstention_rate" not in metrics


def test_the_report_has_the_profile(run):
    assert "Accuracy by prompt" in (run / "out" / "interference.html").read_text()
    assert (run / "out" / "interference_profiles.png").exists()
