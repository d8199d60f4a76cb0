"""The audio-visual demo's clips are what they are labelled as, its datasets fit the plugin, and its recipes parse."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import Dataset
from helpers.clip_diagnoses import clip_results
from helpers.clip_files import dominant_frequency, read_audio, read_frames
from helpers.diagnoses import diagnosis

from modality_interference.cli import main
from modality_interference.data.converter import make_converter
from modality_interference.data.formats.audio_visual import ask_each
from modality_interference.data.spec import TwinsSpec
from modality_interference.modality import Modality
from modality_interference.results import AttentionContrast, AttentionProfile, AttentionShares, Estimate


CLIPS = Path(__file__).parents[2] / "examples" / "clips"


def load(name):
    spec = importlib.util.spec_from_file_location(f"clips_demo_{name}", CLIPS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_clips, make_datasets, table = load("make_clips"), load("make_datasets"), load("table")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A few clips of every class, prepared and paired as the demo does."""
    folder = tmp_path_factory.mktemp("clips_demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["make_clips", "--output", str(folder / "raw"), "--per-class", "4"])
        make_clips.main()
        small = ["--seconds", "1", "--fps", "2", "--size", "32", "--workers", "1"]
        assert main(["clips", "prepare", str(folder / "raw"), str(folder), *small]) == 0
        words = ["--name", "clips", "--split", "train=0.5,test=0.5"]
        assert main(["clips", "pair", str(folder / "clips.jsonl"), *words]) == 0
        patch.setattr(sys, "argv", ["make_datasets", "--data", str(folder)])
        make_datasets.main()

    return folder


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_prepared_clips_have_the_colour_and_the_tone_of_their_class(data):
    rows = read(data / "clips_train.jsonl") + read(data / "clips_test.jsonl")
    assert len(rows) == 24
    for row in rows:
        known = make_clips.CLASSES[row["visual_label"]]
        assert row["audio_label"] == row["visual_label"]
        frames, times = read_frames(data / row["video"])
        assert frames.shape == (2, 32, 32, 3)
        assert times == [0, 0.5]
        brightest = frames.reshape(-1, 3)[np.argmax(frames.max(axis=-1))].astype(float)
        colours = {name: np.array(other.colour, float) for name, other in make_clips.CLASSES.items()}
        nearest = {name: np.linalg.norm(brightest / brightest.max() - c / c.max()) for name, c in colours.items()}
        assert min(nearest, key=nearest.get) == row["visual_label"]
        samples, rate = read_audio(data / row["audio"])
        assert (len(samples), rate) == (16000, 16000)
        assert dominant_frequency(samples, rate) == pytest.approx(known.frequency, rel=make_clips.DETUNING + 0.01)


def test_pitches_of_classes_do_not_overlap():
    pitches = sorted(known.frequency for known in make_clips.CLASSES.values())
    for lower, higher in zip(pitches, pitches[1:], strict=False):
        assert lower * (1 + make_clips.DETUNING) < higher * (1 - make_clips.DETUNING)


def test_no_test_clip_is_trained_on(data):
    train, test = ({row["video"] for row in read(data / f"clips_{part}.jsonl")} for part in ("train", "test"))
    assert len(train) == len(test) == 12
    assert not train & test
    assert {row["swapped_video"] for row in read(data / "clips_test.jsonl")} == test
    info = json.loads((data / "dataset_info.json").read_text())
    recipes = [yaml.safe_load(path.read_text()) for path in CLIPS.glob("*.yaml")]
    trained = {name for recipe in recipes for name in recipe.get("dataset", "").split(",") if name}
    for name in trained:
        videos = {(row.get("video") or row.get("videos", [None])[0]) for row in read(data / info[name]["file_name"])}
        assert videos - {None} <= train


def questions(info, name, rows):
    """What a model reads and answers, by what is asked; options left out, as they are shuffled."""
    spec = TwinsSpec.parse(info[name]["twins"], name, info[name]["formatting"])
    converter = make_converter(
        formatting=info[name]["formatting"],
        spec=spec,
        columns=info[name]["columns"],
        dataset_name=name,
        column_names=list(rows[0]),
    )
    asked = ask_each(Dataset.from_list(rows), spec.asked_modalities) if "ask_about" in info[name]["twins"] else rows
    found = {}
    for index, row in enumerate(asked):
        converted = converter(row, index)
        prompt = converted["_prompt"][0]["content"].replace("<video>", "").replace("<audio>", "")
        words = [
            line for line in prompt.splitlines() if not line.startswith(tuple(f"{letter}: " for letter in "ABCDEF"))
        ]
        found[converted["_twins"]["relevant"]] = (words, converted["_response"][0]["content"])

    return found


def test_rows_of_one_modality_ask_as_rows_of_both_do(data):
    """The base is pretrained on them: in other words it would not know the questions."""
    info = json.loads((data / "dataset_info.json").read_text())
    both = questions(info, "clips_aligned", read(data / "clips_train.jsonl")[:1])
    for name, modality in make_datasets.ALONE.items():
        (row, *_) = read(data / f"{name}.jsonl")
        assert sorted(row["choices"]) == sorted(make_clips.CLASSES)
        bit = Modality(modality).bit
        assert questions(info, name, [row]) == {bit: both[bit]}


def test_datasets_have_valid_blocks_and_the_unseen_is_not_trained_on(data):
    info = json.loads((data / "dataset_info.json").read_text())
    for name, entry in info.items():
        TwinsSpec.parse(entry["twins"], name, entry["formatting"])

    assert info["clips_aligned"]["twins"]["perturbations"] == []
    unseen = make_datasets.UNSEEN[0]
    assert unseen in info["clips_test"]["twins"]["perturbations"]
    assert unseen not in info["clips_twins"]["twins"]["perturbations"]


def test_recipes_parse_and_differ_only_where_they_should():
    from llamafactory.hparams import get_train_args

    recipes = {path.stem: yaml.safe_load(path.read_text()) for path in CLIPS.glob("*.yaml")}
    names = ("plain", "alignment", "twins", "everything")
    assert set(recipes) == {"pretrain", "evaluate"} | {f"finetune_{name}" for name in names}
    for recipe in recipes.values():
        get_train_args(recipe | {"output_dir": "/nonexistent", "use_cpu": True})

    plain, alignment, twins, everything = (recipes[f"finetune_{name}"] for name in names)
    assert differing(plain, alignment) == {"dataset", "output_dir"}
    assert differing(twins, everything) == {"alignment_weight", "output_dir"}
    assert differing(alignment, twins) == {
        "dataset",
        "output_dir",
        "consistency_method",
        "adversarial_method",
        "adversarial_steps",
        "twins_per_example",
    }


def test_tables(tmp_path, capsys):
    diagnoses = {
        model: tabled(effect) for model, effect in zip(table.MODELS, (-0.001, 0.25, -1.5, 2.0, 0.5), strict=True)
    }
    table.write_tables(diagnoses, tmp_path / "tables.md")
    text = (tmp_path / "tables.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert ["what do you see?", "aligned", *["100.0 %"] * 5] in lines
    assert ["what do you hear?", "another clip's video", *["20.0 % (60.0 %)"] * 5] in lines
    assert ["what do you hear?", "misleading caption", *["40.0 % (20.0 %)"] * 5] in lines
    assert not any("audio" in line[1] for line in lines if line[0] == "what do you hear?")
    assert ["audio", "1", "0.00", "0.12", "-0.75", "1.00", "0.25"] in lines
    assert ["video", "largest", "0.00", "0.25", "-1.50", "2.00", "0.50"] in lines
    assert text in capsys.readouterr().out


def tabled(effect):
    """A diagnosis of clips whose attention contrasts have the same effect in the first layer and half of it in the next."""
    layers = [Estimate(value=value, low=value, high=value) for value in (effect, effect / 2)]
    contrasts = [
        AttentionContrast(
            modality=asked, asked=asked, other=other, condition="clean", asked_rows=10, other_rows=10, layers=layers
        )
        for asked, other in (("video", "audio"), ("audio", "video"))
    ]
    shares = [[0.2, 0.3, 0.5]] * len(layers)
    fields = {"dataset": table.DATASET, "kind": "video", "perturbation": "clean", "rows": 10}
    condition = AttentionShares(**fields, layers=shares, heads=[[share] for share in shares])
    attention = AttentionProfile(groups=["text", "video", "audio"], conditions=[condition], contrasts=contrasts)
    return diagnosis(attention=attention).model_copy(update={"datasets": {table.DATASET: clip_results()["clips"]}})


def differing(one, other):
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
