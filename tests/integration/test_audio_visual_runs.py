"""Whole runs on clips: LoRA, saved thinkers, resuming, streaming, bad clips, generated answers, a model that only listens."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.av_data import NAMES, write_clips
from helpers.clip_files import write_audio, write_clip, write_corrupt, write_unknown_codec
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp
from safetensors.torch import load_file
from transformers import Qwen2_5OmniThinkerForConditionalGeneration, TrainerCallback

from modality_interference.cli.check import check_dataset_folder
from modality_interference.errors import ModalityInterferenceError


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(
        tmp_path_factory.mktemp("clips"), own_sound={"columns": {"audios": None, "swapped_audio": None}}
    )


class Losses(TrainerCallback):
    def __init__(self):
        self.losses = {}

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.losses[state.global_step] = logs["loss"]


def train(checkpoint: Path, folder: Path, output: Path, **keys: Any) -> dict[int, float]:
    losses = Losses()
    keys = {"dataset": "clips"} | keys
    run_exp(recipe(checkpoint, "qwen2_omni", folder, output, **keys), callbacks=[losses])
    return losses.losses


def diagnose(checkpoint: Path, folder: Path, output: Path, **keys: Any) -> dict[str, float]:
    keys = {"dataset": None, "eval_dataset": "clips", "do_train": False, "do_eval": True} | keys
    run_exp(recipe(checkpoint, "qwen2_omni", folder, output, **keys))
    return json.loads((output / "all_results.json").read_text())


def scored_rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "interference_rows.jsonl").read_text().splitlines()]


def figures(results: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in results.items() if "_clips_" in name or "_own_sound_" in name}


def test_a_saved_thinker_is_loaded_diagnosed_and_tuned_on(checkpoint, clips, tmp_path):
    """What LLaMA-Factory saves after full tuning is a thinker alone, which stock transformers does not load."""
    train(checkpoint("qwen2_5_omni"), clips, tmp_path / "full", do_eval=True, eval_dataset="clips", max_steps=2)
    assert json.loads((tmp_path / "full/config.json").read_text())["model_type"] == "qwen2_5_omni_thinker"
    again = diagnose(tmp_path / "full", clips, tmp_path / "again")
    first = json.loads((tmp_path / "full/eval_results.json").read_text())
    assert figures(again) == pytest.approx(figures(first), abs=1e-6)
    assert len(figures(again)) > 20
    kinds = {(row["kind"], row["perturbation"]) for row in scored_rows(tmp_path / "again")}
    text = ("clean", "misleading_caption", "long_context")
    assert {name for kind, name in kinds if kind == "video"} == {*text, "swapped_audio", "silence"}
    assert {name for kind, name in kinds if kind == "audio"} == {*text, "swapped_video", "black_frames"}
    assert train(tmp_path / "full", clips, tmp_path / "on")[1] < 100
    assert_used_without_the_plugin(tmp_path / "full", tmp_path / "exported")


def assert_used_without_the_plugin(thinker: Path, exported: Path) -> None:
    """In a process of its own, in which nothing has trained: LLaMA-Factory's chat answers, and its export writes the weights."""
    code = f"""
import json
from llamafactory.chat import ChatModel
from llamafactory.train.tuner import export_model
keys = {{"model_name_or_path": {str(thinker)!r}, "template": "qwen2_omni"}}
(answer,) = ChatModel({{**keys, "max_new_tokens": 3, "do_sample": False}}).chat([{{"role": "user", "content": "What?"}}])
export_model({{**keys, "export_dir": {str(exported)!r}, "export_device": "cpu", "infer_dtype": "float32"}})
print(json.dumps(answer.response_length))
"""
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.returncode == 0, process.stderr[-3000:]
    assert 1 <= json.loads(process.stdout.splitlines()[-1]) <= 3
    before, after = load_file(thinker / "model.safetensors"), load_file(exported / "model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_lora_as_published_with_everything_on(checkpoint, clips, tmp_path):
    base = checkpoint("qwen2_5_omni")
    keys = {"finetuning_type": "lora", "lora_rank": 8, "lora_target": "q_proj,v_proj", "freeze_vision_tower": True}
    keys |= {"batch_mix": "video=1,audio=1", "use_audio_in_video": True, "dataset": "own_sound"}
    losses = train(base, clips, tmp_path / "lora", max_steps=8, learning_rate=3e-2, **keys)
    assert losses[8] < losses[1]
    adapter = {"adapter_name_or_path": str(tmp_path / "lora"), "finetuning_type": "lora", "use_audio_in_video": True}
    before = diagnose(base, clips, tmp_path / "base", eval_dataset="own_sound", use_audio_in_video=True)
    after = diagnose(base, clips, tmp_path / "tuned", eval_dataset="own_sound", **adapter)
    assert after["eval_loss"] < before["eval_loss"]


def test_full_tuning_resumes_with_the_same_losses(checkpoint, clips, tmp_path):
    keys = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    whole = train(checkpoint("qwen2_5_omni"), clips, tmp_path / "whole", **keys)
    shutil.copytree(tmp_path / "whole/checkpoint-2", tmp_path / "parts/checkpoint-2")
    parts = train(checkpoint("qwen2_5_omni"), clips, tmp_path / "parts", **keys)
    assert set(whole) == {1, 2, 3, 4}
    assert parts == {step: whole[step] for step in (3, 4)}


def test_a_stream_gives_the_same_twins(checkpoint, clips, tmp_path):
    """Row by row, without random access: partners come from the columns."""
    keys = {"disable_shuffling": True, "max_steps": 2, "dataloader_num_workers": 1}
    plain = train(checkpoint("qwen2_5_omni"), clips, tmp_path / "plain", **keys)
    stream = train(checkpoint("qwen2_5_omni"), clips, tmp_path / "stream", streaming=True, buffer_size=1, **keys)
    assert stream == pytest.approx(plain, rel=1e-5)


def test_llamafactorys_own_generation_needs_no_torchcodec(checkpoint, clips, tmp_path):
    keys = dict(predict_with_generate=True, do_eval=False, do_predict=True)
    assert "predict_rouge-1" in diagnose(checkpoint("qwen2_5_omni"), clips, tmp_path, max_new_tokens=3, **keys)
    removed = write_clips(
        tmp_path / "data", removed={"twins": {"drop_asked_modality": True, "abstention": "neither", "options": 3}}
    )
    with pytest.raises(ModalityInterferenceError, match="diagnosis_scoring"):
        diagnose(checkpoint("qwen2_5_omni"), removed, tmp_path / "out", eval_dataset="removed", **keys)


@pytest.mark.engines
def test_qwen3_omni_runs(checkpoint, clips, tmp_path):
    keys = {"dataset": "clips", "batch_mix": "video=1,audio=1", "do_eval": True, "eval_dataset": "clips"}
    run_exp(recipe(checkpoint("qwen3_omni"), "qwen3_omni_nothink", clips, tmp_path / "out", max_steps=2, **keys))
    assert len(scored_rows(tmp_path / "out")) == 8 * 5
    keys = {"dataset": None, "do_train": False, "do_eval": True, "eval_dataset": "clips"}
    run_exp(recipe(tmp_path / "out", "qwen3_omni_nothink", clips, tmp_path / "again", **keys))
    names = ("row", "perturbation", "answer")
    rows = [[[row[name] for name in names] for row in scored_rows(tmp_path / folder)] for folder in ("out", "again")]
    assert rows[0] == rows[1]


def test_generated_answers(checkpoint, clips, tmp_path):
    keys = {"predict_with_generate": True, "diagnosis_scoring": "generate", "max_new_tokens": 3}
    results = diagnose(
        checkpoint("qwen2_5_omni"), clips, tmp_path, eval_dataset="own_sound", use_audio_in_video=True, **keys
    )
    assert 0 <= results["eval_own_sound_swapped_audio_flip_rate"] <= 1
    assert len(scored_rows(tmp_path)) == 8 * 5


BAD: list[tuple[str, dict[str, str | None]]] = [
    ("missing video", {"video": "absent.mp4"}),
    ("file without video", {"video": "heard only.mp4"}),
    ("file without video", {"video": "no frames.mp4"}),
    ("broken video", {"video": "corrupt.mp4"}),
    ("empty video", {"video": "empty.mp4"}),
    ("missing audio", {"audio": "absent.wav"}),
    ("file without audio", {"audio": "seen only.mp4"}),
    ("broken audio", {"audio": "text.wav"}),
    ("broken video", {"video": "no decoder.mkv"}),
    ("broken video", {"video": "no decoder.mp4"}),
    ("broken audio", {"audio": "no decoder.wav"}),
    ("audio too short", {"audio": "click.wav"}),
    ("not one audio", {"audio": None}),
    ("label outside the class list", {"visual_label": "cow", "audio_label": "cow"}),
    ("swapped clip of the same class", {"swapped_audio_label": NAMES[0], "swapped_visual_label": NAMES[0]}),
    ("path outside the media folder", {"video": "../away.mp4"}),
]


def test_bad_clips_are_dropped_and_counted(checkpoint, tmp_path, warnings):
    folder = write_clips(tmp_path / "data", clips=2)
    write_clip(folder / "heard only.mp4", visual=None)
    write_clip(folder / "seen only.mp4", audio=None)
    write_clip(folder / "no frames.mp4", seconds=0, audio_seconds=1)
    write_corrupt(folder / "corrupt.mp4")
    write_audio(folder / "click.wav", seconds=0.01)
    for suffix in ("mkv", "mp4", "wav"):
        write_unknown_codec(folder / f"no decoder.{suffix}")

    (folder / "empty.mp4").touch()
    (folder / "text.wav").write_text("no sound " * 50)
    good = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]
    rows = [*good, *(good[0] | change for _, change in BAD)]
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert train(checkpoint("qwen2_5_omni"), folder, tmp_path / "out")[1] > 0
    (said,) = [text for text in warnings if "dropped" in text]
    kinds = [kind for kind, _ in BAD]
    for kind in kinds:  # each clip is asked twice; rows are those of the file
        first = len(good) + kinds.index(kind)
        assert f"{2 * kinds.count(kind)} x {kind} (first: row {first}:" in said

    assert f"dropped {2 * len(BAD)} rows or twins of {2 * len(rows)} rows" in said
    findings = check_dataset_folder(folder, 2 * len(rows))
    assert findings.notes["clips"][1] == said
    problems = [problem for problem in findings.problems if problem.dataset == "clips"]
    wrong = kinds[-3:]  # labels, and a path out of the folder
    assert [problem.row for problem in problems] == [len(good) + kinds.index(kind) for kind in wrong]
    for problem, kind in zip(problems, wrong, strict=True):
        assert problem.message.startswith(f"dataset `clips`: {kind}: ")


def test_counterfactuals_of_order_time_and_text_in_one_diagnosis(checkpoint, tmp_path, warnings):
    """A clip that stands still, and sound that is too short, lose these rows alone, as `check` says beforehand."""
    folder = tmp_path / "data"
    write_clip(folder / "moving.mp4", "bell", "bell", seconds=3, fps=4)
    write_clip(folder / "still.mp4", "bell", "bell", seconds=1, fps=4, times=[0.0])
    rows = [
        {"question": f"It rings {number} times. How often?", "evidence": f"It rings {number} times.", "clip": name}
        | {"choices": ["3", "5"], "answer": str(number)}
        for number, name in ((3, "moving.mp4"), (5, "moving.mp4"), (3, "still.mp4"))
    ]
    clip = ["shuffled_frames", "frozen_frames", "shifted_audio"]
    text = ["removed_sentence", "swapped_sentence", "changed_numbers"]
    entry = {
        "file_name": "rings.jsonl",
        "formatting": "multiple_choice_twins",
        "columns": {key: key for key in ("question", "choices", "answer", "evidence")}
        | {"videos": "clip", "audios": "clip"},
        "twins": {"relevant": ["text", "video", "audio"], "answer": "text", "counterfactuals": clip + text},
    }
    (folder / "rings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset_info.json").write_text(json.dumps({"rings": entry}))
    results = diagnose(checkpoint("qwen2_5_omni"), folder, tmp_path / "out", eval_dataset="rings")
    lines = (tmp_path / "out" / "interference_counterfactuals.jsonl").read_text().splitlines()
    found = [(row["row"], row["perturbation"].removeprefix("counterfactual_")) for row in map(json.loads, lines)]
    assert sorted(found) == sorted(
        [(row, name) for row in (0, 1) for name in clip + text] + [(2, name) for name in text]
    )
    for name in clip + text:
        assert 0 <= results[f"eval_rings_counterfactual_{name}_unchanged_rate"] <= 1

    (said,) = [line for line in warnings if "dropped" in line]
    assert all(f"1 x counterfactual_{name} row, video that stands still (first: row 2:" in said for name in clip[:2])
    assert "1 x counterfactual_shifted_audio row, audio too short to shift (first: row 2:" in said
    assert check_dataset_folder(folder, 3).notes["rings"][1] == said


ODD = [
    {"fps": 1},
    {"times": [0, 0.1, 0.5, 0.6, 1.4, 1.9]},
    {"rotation": 90},
    {"rate": 8000, "channels": 2},
]


def test_odd_clips_are_trained_on(checkpoint, tmp_path, warnings):
    folder = write_clips(tmp_path / "data", clips=2)
    rows = [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]
    for number, settings in enumerate(ODD):
        name = f"ein Ödes Tier {number}.mp4"
        write_clip(folder / name, NAMES[0], NAMES[0], **settings)
        rows.append(rows[0] | {"video": name, "audio": name})

    write_audio(folder / "24 bit.wav", NAMES[0], rate=8000, channels=2, bits=24)
    rows.append(rows[0] | {"audio": "24 bit.wav"})
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(checkpoint("qwen2_5_omni"), folder, tmp_path / "out", per_device_train_batch_size=14)
    assert not [text for text in warnings if "dropped" in text]


@pytest.mark.parametrize(("tower", "lost"), [("visual", "video"), ("audio_tower", "audio")])
def test_a_model_wired_to_one_modality_never_follows_the_other(tower, lost, checkpoint, tmp_path, monkeypatch):
    """A model that only listens answers as if nothing had changed, whatever frames are swapped in; or the other way round."""
    stock = Qwen2_5OmniThinkerForConditionalGeneration.forward

    def without_a_tower(self, *args, **kwargs):
        def zero(module, args, output):
            name = "pooler_output" if tower == "visual" else "last_hidden_state"
            output[name] = torch.zeros_like(output[name])
            return output

        handle = getattr(self, tower).register_forward_hook(zero)
        try:
            return stock(self, *args, **kwargs)
        finally:
            handle.remove()

    monkeypatch.setattr(Qwen2_5OmniThinkerForConditionalGeneration, "forward", without_a_tower)
    folder = write_clips(tmp_path / "data", longer=0)  # or the swapped clip's length would be heard
    results = diagnose(checkpoint("qwen2_5_omni"), folder, tmp_path / "out")
    rows = scored_rows(tmp_path / "out")
    clean = {row["row"]: row for row in rows if row["perturbation"] == "clean"}
    removed = {"video": "black_frames", "audio": "silence"}
    for name in (f"swapped_{lost}", removed[lost]):
        assert results[f"eval_clips_{name}_flip_rate"] == 0
        assert results[f"eval_clips_{name}_causal_effect"] == pytest.approx(0, abs=1e-9)

    # it never follows frames that it would not have followed anyway: the swapped class is its answer to the clean row
    followed = [row for row in rows if row["perturbation"] == f"swapped_{lost}" and row["misled"]]
    assert all(clean[row["row"]]["answer"] == row["answer"] for row in followed)
    (kept,) = set(removed) - {lost}
    assert results[f"eval_clips_{removed[kept]}_causal_effect"] > 0


@pytest.mark.parametrize(("val_size", "groups"), [(3, 3), (0.5, 4)])
def test_both_questions_about_a_clip_are_held_out(checkpoint, clips, tmp_path, val_size, groups):
    """`val_size` counts clips, and the other datasets' rows."""
    keys = dict(dataset="clips,read", val_size=val_size)
    data = load_data(recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", clips, tmp_path, **keys))
    sides = [
        {(row["dataset"], row["clip"] if row["clip"] >= 0 else row["row"]) for row in side}
        for side in (data.train, data.evaluation)
    ]
    assert sides[0].isdisjoint(sides[1])
    assert [len(side) for side in sides] == [8 - groups, groups]  # of 4 clips and 4 sums
    assert len(data.train) + len(data.evaluation) == 12


def test_clips_of_a_stream_are_not_held_out(checkpoint, clips, tmp_path):
    keys = dict(dataset="clips", val_size=2, streaming=True, dataloader_num_workers=1)
    with pytest.raises(ModalityInterferenceError, match="Dataset clips: `val_size` cannot hold out clips of a stream"):
        load_data(recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", clips, tmp_path, **keys))
