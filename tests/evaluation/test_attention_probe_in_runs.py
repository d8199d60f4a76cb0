"""`attention_probe: true` and `alignment_weight` through the real `run_exp`."""

import json

import numpy as np
import pytest
import torch
from helpers.av_data import write_clips
from helpers.loading import load_data
from helpers.runs import recipe, write_datasets
from helpers.tiny_models import FAMILIES, build
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from llamafactory.train.tuner import run_exp
from transformers import AutoModelForImageTextToText, Qwen2_5OmniThinkerForConditionalGeneration

from modality_interference.arguments import DEFAULTS
from modality_interference.attention.scores import GROUPS
from modality_interference.batching.batch import TwinBatch
from modality_interference.batching.collator import Purpose
from modality_interference.errors import ModalityInterferenceError
from modality_interference.evaluation.attention_probe import AttendedRow, AttentionProbe, attention_profile
from modality_interference.media.image import load_image
from modality_interference.results import read_diagnosis
from modality_interference.train.hooks import ModelParts


FAMILY = "qwen2_5_vl"
TEMPLATE = FAMILIES[FAMILY].template


def keys(checkpoint, folder, output, **overrides):
    defaults = dict(
        do_train=False, do_eval=True, dataset=None, eval_dataset="pictures,sums", max_steps=None,
        per_device_eval_batch_size=3, overwrite_output_dir=True, attention_probe=True,
    )  # fmt: skip
    return recipe(checkpoint, overrides.pop("template", TEMPLATE), folder, output, **{**defaults, **overrides})


def profile_of(checkpoint, folder, output, **overrides):
    run_exp(keys(checkpoint, folder, output, **overrides))
    return read_diagnosis(output).attention


@pytest.fixture(scope="module")
def probed(checkpoint, datasets, tmp_path_factory):
    """A probed diagnosis of images and sums."""
    folder = tmp_path_factory.mktemp("pictures")
    return folder, profile_of(checkpoint(FAMILY), datasets, folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A probed diagnosis of clips by a model that sees and hears."""
    folder = tmp_path_factory.mktemp("clips")
    model, data = build("qwen2_5_omni", folder / "model"), write_clips(folder / "data")
    run_exp(keys(model, data, folder / "run", template="qwen2_omni", eval_dataset="clips"))
    return read_diagnosis(folder / "run").attention


def eager_shares(data, model, example, row, image_token):
    """(layers, heads) share on the image of the last prompt token, of one row alone through eager attention."""
    images = [
        load_image(name, example["images"] or [], example["twin_images"] or []) for name in row["image_references"]
    ]
    feature = {"input_ids": row["input_ids"], "attention_mask": [1] * len(row["input_ids"]), "labels": row["labels"]}
    collator = data.collator(SFTDataCollatorWith4DAttentionMask, model=model, pad_to_multiple_of=None)
    batch = collator([feature | {"images": images}])
    labels, last = batch.pop("labels")[0].tolist(), 0
    while labels[last + 1] == -100:
        last += 1

    with torch.no_grad():
        maps = model(**batch, output_attentions=True).attentions

    image_positions = (batch["input_ids"][0] == image_token).nonzero()[:, 0]
    return np.array([[head[last, image_positions].sum().item() for head in layer[0]] for layer in maps])


def test_shares_are_those_of_eager_attention_row_by_row(probed, checkpoint, datasets, tmp_path):
    _, profile = probed
    model = AutoModelForImageTextToText.from_pretrained(checkpoint(FAMILY), attn_implementation="eager").eval()
    data = load_data(keys(checkpoint(FAMILY), datasets, tmp_path))
    found = {}
    for example in data.evaluation:
        for row in (example, *example["variants"]):
            name = example["dataset"], row.get("perturbation") or "clean"
            shares = eager_shares(data, model, example, row, model.config.image_token_id)
            found.setdefault(name, []).append(shares)

    assert profile.groups == ["text", "image", "special"]
    assert len(profile.conditions) == len(found) == 6
    for condition in profile.conditions:
        expected = np.mean(found[condition.dataset, condition.perturbation], axis=0)
        assert condition.rows == 8
        assert np.array(condition.heads)[..., 1] == pytest.approx(expected, abs=2e-5)
        assert np.array(condition.layers)[..., 1] == pytest.approx(expected.mean(axis=1), abs=2e-5)
        assert np.array(condition.heads).sum(axis=-1) == pytest.approx(np.ones((2, 2)), abs=3e-5)
        assert np.array(condition.layers).sum(axis=-1) == pytest.approx(np.ones(2), abs=3e-5)


def test_images_are_contrasted_with_sums_that_have_one(probed):
    """Of sums, twins alone have an image: 2 of 8 rows each; so all rows count, 3 of each of 8 images."""
    (contrast,) = probed[1].contrasts
    assert (contrast.modality, contrast.asked, contrast.other, contrast.condition) == ("image", "image", "text", "all")
    assert (contrast.asked_rows, contrast.other_rows) == (24, 16)
    assert all(size.low <= size.value <= size.high for size in contrast.layers) and len(contrast.layers) == 2


def test_plots_and_page(probed):
    folder, _ = probed
    page = (folder / "interference.html").read_text()
    for name, title in (
        ("interference_attention.png", "Where the model looks"),
        ("interference_attention_contrasts.png", "Does the prompt direct attention?"),
    ):
        assert (folder / name).stat().st_size > 5000 and title in page


@pytest.mark.parametrize(
    "overrides",
    [
        dict(per_device_eval_batch_size=1),
        dict(diagnosis_scoring="generate", predict_with_generate=True, max_new_tokens=2),  # prompts padded on the left
        dict(flash_attn="disabled"),
    ],
)
def test_the_same_shares_however_rows_are_scored(overrides, probed, checkpoint, datasets, tmp_path):
    again = profile_of(checkpoint(FAMILY), datasets, tmp_path, **overrides)
    assert [(one.dataset, one.perturbation) for one in again.conditions] == [
        (one.dataset, one.perturbation) for one in probed[1].conditions
    ]
    for one, other in zip(again.conditions, probed[1].conditions):
        assert np.array(one.heads) == pytest.approx(np.array(other.heads), abs=3e-5)


def test_under_lora(probed, checkpoint, datasets, tmp_path):
    """A fresh adapter changes nothing."""
    again = profile_of(checkpoint(FAMILY), datasets, tmp_path, finetuning_type="lora")
    assert np.array(again.conditions[0].heads) == pytest.approx(np.array(probed[1].conditions[0].heads), abs=3e-5)


def test_counterfactual_rows_are_left_out_and_the_page_says_so(checkpoint, tmp_path):
    folder = write_datasets(tmp_path / "data", rows=2)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"]["counterfactuals"] = ["black_image"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    found = profile_of(checkpoint(FAMILY), folder, tmp_path / "run", eval_dataset="pictures")
    assert {one.perturbation for one in found.conditions} == {"clean", "misleading_text", "unrelated_text"}
    diagnosis = read_diagnosis(tmp_path / "run")
    assert "counterfactual_black_image" in diagnosis.datasets["pictures"].counterfactuals
    note = "that of counterfactual rows is not recorded."
    assert sum(note in one for one in diagnosis.notes) == 1
    assert note in (tmp_path / "run" / "interference.html").read_text()


def test_without_the_key_nothing_is_probed(checkpoint, datasets, tmp_path):
    run_exp(keys(checkpoint(FAMILY), datasets, tmp_path, attention_probe=False, eval_dataset="sums"))
    assert read_diagnosis(tmp_path).attention is None
    assert not (tmp_path / "interference_attention.png").exists()


def test_a_model_that_hears_against_eager_attention(tmp_path):
    """Clean rows and twins of clips in one padded batch, each clip read once."""
    folder = build("qwen2_5_omni", tmp_path / "model")
    loaded = load_data(
        keys(folder, write_clips(tmp_path / "data"), tmp_path, template="qwen2_omni", eval_dataset="clips")
    )
    kind = Qwen2_5OmniThinkerForConditionalGeneration
    eager, model = (kind.from_pretrained(folder, attn_implementation=name).eval() for name in ("eager", "sdpa"))
    collator = loaded.collator(model=model).for_evaluation(Purpose.LIKELIHOOD)
    batch = TwinBatch.split(collator([dict(example) for example in loaded.evaluation]))
    parts, probe = ModelParts.of(eager), AttentionProbe(batch, 2)
    with torch.no_grad():
        with parts.hooked(media_features=parts.media_features(batch.feature_index)):
            maps = eager(**batch.inputs, output_attentions=True, use_cache=False).attentions

        parts = ModelParts.of(model)
        with parts.hooked(probe.edit, media_features=parts.media_features(batch.feature_index)):
            model(**batch.inputs, use_cache=False)

    rows = probe.rows()
    assert len(rows) == len(batch.questions) == 8 * 5
    ids = batch.inputs["input_ids"]
    for row, question in zip(rows, batch.questions):
        labels = batch.labels[question.batch_row].tolist()
        last = next(place for place, label in enumerate(labels) if label != -100) - 1
        for group, token in (("video", "<|VIDEO|>"), ("audio", "<|AUDIO|>")):
            places = ids[question.batch_row] == loaded.tokenizer.convert_tokens_to_ids(token)
            expected = torch.stack([layer[question.batch_row, :, last, places].sum(dim=-1) for layer in maps])
            assert row.shares[..., GROUPS.index(group)] == pytest.approx(expected.numpy(), abs=1e-5)
            assert (expected > 0).all() and row.seen[GROUPS.index(group)]


def test_clips(clips):
    assert clips.groups == ["text", "video", "audio", "special"]
    names = {(condition.kind, condition.perturbation) for condition in clips.conditions}
    assert {("video", "clean"), ("audio", "clean"), ("video", "swapped_audio"), ("audio", "swapped_video")} <= names
    for condition in clips.conditions:
        assert np.array(condition.heads).sum(axis=-1) == pytest.approx(1, abs=3e-5)
        assert (np.array(condition.layers) > 0).all()

    assert [
        (contrast.modality, contrast.asked, contrast.other, contrast.condition) for contrast in clips.contrasts
    ] == [
        ("video", "video", "audio", "clean"),
        ("video", "video", "audio", "misaligned"),
        ("audio", "audio", "video", "clean"),
        ("audio", "audio", "video", "misaligned"),
    ]
    assert {(contrast.asked_rows, contrast.other_rows) for contrast in clips.contrasts} == {(4, 4)}


def attended(row, kind, shares, perturbation="clean", dataset="clips", **keys):
    """A row of one layer and head whose other attention falls on text."""
    values = np.array([[[1 - sum(shares), 0, *shares, 0]]], dtype=np.float32)
    seen = np.array([True, False, True, True, False])
    return AttendedRow(dataset, row, kind, perturbation, values, seen, **keys)


def test_rows_that_ranks_repeat_count_once_and_d_is_that_of_hand():
    """To video: 0.4, 0.6 against 0.1, 0.3: means 0.5 and 0.2, both variances 0.02. To audio: 0.2 and 0.3 against 0.1."""
    rows = [
        attended(0, "video", (0.4, 0.1)), attended(2, "video", (0.6, 0.1)),
        attended(1, "audio", (0.1, 0.2)), attended(3, "audio", (0.3, 0.3)),
        attended(0, "video", (0.9, 0.0), perturbation="swapped_audio"),
    ]  # fmt: skip
    profile = attention_profile([*rows, rows[0]], seed=0)
    video, audio = profile.contrasts
    assert video.layers[0].value == pytest.approx(0.3 / 0.02**0.5, abs=1e-4)
    assert audio.layers[0].value == pytest.approx(0.15 / (0.005 / 2) ** 0.5, abs=1e-4)
    shares = {(found.kind, found.perturbation): found for found in profile.conditions}
    assert shares["video", "clean"].rows == 2
    assert shares["video", "clean"].layers[0] == pytest.approx([0.4, 0.5, 0.1])


def test_misaligned_clips_have_their_own_d():
    """The values of the test above on misaligned rows; aligned ones that do not differ, rows without what they ask about."""
    swapped = {"video": "swapped_audio", "audio": "swapped_video"}
    values = [(0, "video", (0.4, 0.1)), (2, "video", (0.6, 0.1)), (1, "audio", (0.1, 0.2)), (3, "audio", (0.3, 0.3))]
    aligned = [attended(row, kind, (0.2, 0.2 + row / 100)) for row, kind, _ in values]
    removed = [attended(row, kind, (0.9, 0.0), dataset="removed", whole=False) for row, kind, _ in values]
    twins = [attended(*value, perturbation=swapped[value[1]], misaligned=True) for value in values]
    recorded = [attended(*value, misaligned=True) for value in values]
    found = attention_profile([*aligned, *removed, *twins], seed=0).contrasts
    assert [(contrast.modality, contrast.condition) for contrast in found] == [
        (modality, condition) for modality in ("video", "audio") for condition in ("clean", "misaligned")
    ]
    assert found[0].layers[0].value is None  # no spread
    assert found[1].layers[0].value == pytest.approx(0.3 / 0.02**0.5, abs=1e-4)
    assert [contrast.condition for contrast in attention_profile(recorded, seed=0).contrasts] == ["misaligned"] * 2


def steps(folder):
    lines = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    state = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    norms = [entry["grad_norm"] for entry in state if "grad_norm" in entry]
    return [line for line in lines if "loss" in line], norms


def train(tmp_path, name, **overrides):
    model, data = build("qwen2_5_omni", tmp_path / "model"), tmp_path / "data"
    if not data.exists():
        write_clips(data)

    settings = dict(dataset="clips", alignment_weight=2.0, adversarial_steps=1, per_device_train_batch_size=4)
    run_exp(recipe(model, "qwen2_omni", data, tmp_path / name, **{**settings, **overrides}))
    return steps(tmp_path / name)


@pytest.mark.slow
def test_alignment_in_training_however_a_step_is_cut_up(tmp_path):
    """8 questions of 4 clips in one batch, or in four; with recomputation of both kinds and without; the same loss."""
    whole, norms = train(tmp_path, "whole", per_device_train_batch_size=8)
    line = whole[0]
    parts = (
        line["loss_sft"]
        + line["loss_adversarial"]
        + DEFAULTS["consistency_weight"] * line["loss_consistency"]
        + 2 * line["loss_alignment"]
    )
    assert line["loss"] == pytest.approx(parts, rel=1e-5) and line["loss_alignment"] > 0.05
    for name, overrides in (
        ("parts", dict(per_device_train_batch_size=2, gradient_accumulation_steps=4)),
        ("non_reentrant", dict(per_device_train_batch_size=8, use_reentrant_gc=False)),
        ("no_checkpoints", dict(per_device_train_batch_size=8, disable_gradient_checkpointing=True)),
    ):
        again, other_norms = train(tmp_path, name, **overrides)
        assert again[0]["loss_alignment"] == pytest.approx(line["loss_alignment"], rel=1e-5)
        assert other_norms[0] == pytest.approx(norms[0], rel=1e-4)


@pytest.mark.slow
def test_alignment_falls_when_it_is_trained(tmp_path):
    alone = dict(adversarial_method="none", consistency_method="none")
    settings = dict(max_steps=6, learning_rate=1e-2, per_device_train_batch_size=8, **alone)
    values = [line["loss_alignment"] for line in train(tmp_path, "trained", **settings)[0]]
    assert values[-1] < 0.8 * values[0] and max(values[3:]) < min(values[:2])  # a step may overshoot


def test_layers_that_the_model_has_not_are_refused_before_training(tmp_path):
    with pytest.raises(ModalityInterferenceError, match="`alignment_layers` is '1-2', but .* 2 layers, 0 to 1"):
        train(tmp_path, "refused", alignment_layers="1-2")
