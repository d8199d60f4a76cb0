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


NEITHER = "None of the above"
FORMS = {  # of the same clips: without what is asked about, with a way out, with both
    "removed": {"drop_asked_modality": True},
    "offered": {"abstention": NEITHER},
    "both": {"drop_asked_modality": True, "abstention": NEITHER},
}
RECORDED = {  # clips that are misaligned themselves: each video with the audio of its partner
    "columns": {"audios": "swapped_audio", "audio_label": "swapped_audio_label"}
    | dict.fromkeys(["swapped_video", "swapped_audio", "swapped_visual_label", "swapped_audio_label"]),
    "twins": {"options": 2, "perturbations": []},
}
OTHER = {"swapped_audio": "swapped_audio_label", "swapped_video": "swapped_visual_label"}


@pytest.fixture(scope="module", params=["likelihood", "generate"])
def run(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A diagnosed run, its data beside it."""
    folder = tmp_path_factory.mktemp("run")
    forms = {name: {"twins": block | {"perturbations": []}} for name, block in FORMS.items()}
    write_clips(folder / "data", clips=6, recorded=RECORDED, **forms)
    keys = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="clips,removed,offered,both,recorded", max_steps=None, cutoff_len=4096,
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


def test_a_clip_that_is_misaligned_itself_is_asked_both_questions_and_offers_both_classes(run):
    diagnosis, rows, metrics, clips = found(run)
    asked = [row for row in rows if row.dataset == "recorded"]
    labels = [(clips[row.row // 2]["visual_label"], clips[row.row // 2]["swapped_audio_label"]) for row in asked]
    pairs = [pair if row.kind == "video" else pair[::-1] for row, pair in zip(asked, labels, strict=True)]
    assert [(row.right, row.target) for row in asked] == pairs and {row.options for row in asked} == {2}
    expected = sum(row.answer == row.target for row in asked) / 12
    assert metrics["eval_recorded_clean_other_modality_rate"] == pytest.approx(expected)
    assert "misled_rate" not in diagnosis.datasets["recorded"].perturbations["clean"].rates
    assert "eval_clips_clean_other_modality_rate" not in metrics


def test_accuracy_by_prompt_is_that_of_the_labels(run):
    diagnosis, rows, metrics, clips = found(run)
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        if row.dataset == "clips":
            label = clips[row.row // 2]["visual_label" if row.kind == "video" else "audio_label"]
            right[row.kind, row.perturbation].append(row.answer == label)

    by_kind = diagnosis.datasets["clips"].kinds
    figures = {
        (kind, name): result.rates["accuracy"].value for kind, of in by_kind.items() for name, result in of.items()
    }
    expected = {key: sum(values) / len(values) for key, values in right.items()}
    assert figures == pytest.approx(expected)
    for (kind, perturbation), value in expected.items():
        assert metrics[f"eval_clips_{kind}_{perturbation}_accuracy"] == pytest.approx(value)

    for kind, perturbation in (
        ("video", "swapped_audio"),
        ("audio", "swapped_video"),
    ):  # asked of one prompt's rows alone
        assert metrics[f"eval_clips_{perturbation}_clean_accuracy"] == pytest.approx(expected[kind, "clean"])
    common = {"clean", "misleading_caption", "long_context"}
    assert set(by_kind["video"]) == common | {"swapped_audio", "silence"}
    assert set(by_kind["audio"]) == common | {"swapped_video", "black_frames"}


def test_removal_and_abstention_beside_their_controls(run):
    diagnosis, rows, metrics, clips = found(run)
    for name, block in FORMS.items():
        asked = [row for row in rows if row.dataset == name]
        labels = [clips[row.row // 2]["visual_label" if row.kind == "video" else "audio_label"] for row in asked]
        right = [NEITHER] * 12 if name == "both" else labels
        assert [row.right for row in asked] == right and len(right) == 12
        accuracy = sum(row.answer == answer for row, answer in zip(asked, right, strict=True)) / 12
        rates = {"accuracy": accuracy} | ({"unparsable_rate": 0} if diagnosis.scoring == "generate" else {})
        if "abstention" in block:
            rate = "abstention_rate" if name == "both" else "false_abstention_rate"
            rates[rate] = sum(row.answer == NEITHER for row in asked) / 12

        measured = diagnosis.datasets[name].perturbations["clean"].rates
        assert set(measured) - {"accuracy_norm", "ece"} == set(rates) and diagnosis.datasets[name].removed == (
            "drop_asked_modality" in block
        )
        for rate in set(rates) - {"unparsable_rate"}:
            assert metrics[f"eval_{name}_clean_{rate}"] == pytest.approx(rates[rate])

    assert not {rate for rate in diagnosis.datasets["clips"].perturbations["clean"].rates if "abstention" in rate}


def test_rows_say_class_target_clip_and_file(run):
    _, rows, _, clips = found(run)
    for row in (row for row in rows if row.dataset == "clips"):
        clip = clips[row.row // 2]
        assert (row.clip, row.medium) == (row.row // 2, clip["video"])
        assert row.right == clip["visual_label" if row.kind == "video" else "audio_label"]
        if row.perturbation in OTHER:
            assert row.target == clip[OTHER[row.perturbation]]


def test_the_report_has_the_profile(run):
    page = (run / "out" / "interference.html").read_text()
    assert "as recorded" in page and "asked modality removed, abstention offered" in page
    assert "Accuracy by prompt" in page and "cut to the length of the row" in page
    assert (run / "out" / "interference_profiles.png").exists()
