"""The audio-visual demo's clips are what they are labelled as, its datasets fit the plugin, and its recipes parse."""

import importlib
import json
import random
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


MODULES = ("clip_file", "drawn", "stamps", "make_clips", "make_datasets", "table")


def load():
    """The demo's modules, which import each other by their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(CLIPS)
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)

        found = [importlib.import_module(name) for name in MODULES]
        for name in MODULES:
            del sys.modules[name]

    return found


clip_file, drawn, stamps, make_clips, make_datasets, table = load()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A few drawn clips of every class, prepared and paired as the demo does."""
    folder = tmp_path_factory.mktemp("clips_demo")
    with pytest.MonkeyPatch.context() as patch:
        words = ["--output", str(folder / "raw"), "--clips", "24", "--source", "drawn"]
        patch.setattr(sys, "argv", ["make_clips", *words])
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
        known = drawn.CLASSES[row["visual_label"]]
        assert row["audio_label"] == row["visual_label"]
        frames, times = read_frames(data / row["video"])
        assert frames.shape == (2, 32, 32, 3)
        assert times == [0, 0.5]
        brightest = frames.reshape(-1, 3)[np.argmax(frames.max(axis=-1))].astype(float)
        colours = {name: np.array(other.colour, float) for name, other in drawn.CLASSES.items()}
        nearest = {name: np.linalg.norm(brightest / brightest.max() - c / c.max()) for name, c in colours.items()}
        assert min(nearest, key=nearest.get) == row["visual_label"]
        samples, rate = read_audio(data / row["audio"])
        assert (len(samples), rate) == (16000, 16000)
        assert dominant_frequency(samples, rate) == pytest.approx(known.frequency, rel=drawn.DETUNING + 0.01)


def test_pitches_of_classes_do_not_overlap():
    pitches = sorted(known.frequency for known in drawn.CLASSES.values())
    for lower, higher in zip(pitches, pitches[1:], strict=False):
        assert lower * (1 + drawn.DETUNING) < higher * (1 - drawn.DETUNING)


@pytest.fixture(scope="module")
def stamp_clips():
    """Clips of every class of stamps: frames, and samples."""
    if stamps.missing():
        pytest.skip(f"needs pictures and sounds: apt-get install {stamps.PACKAGE}")

    return {
        name: [(stamps.make_frames(name, rng), stamps.make_audio(name, rng)) for rng in map(random.Random, range(12))]
        for name in stamps.CLASSES
    }


def test_stamps_are_varied_in_every_clip(stamp_clips):
    for clips in stamp_clips.values():
        for frames, samples in clips:
            assert np.stack(frames).shape == (clip_file.FRAMES, clip_file.SIZE[1], clip_file.SIZE[0], 3)
            assert samples.shape == (clip_file.SAMPLES,)
            loudness = np.sqrt((samples**2).mean())
            assert stamps.LOUDNESS[0] * 0.99 < loudness < np.hypot(stamps.LOUDNESS[1], stamps.NOISE[1]) * 1.01

        assert len({frames[0].tobytes() for frames, _ in clips}) == len({s.tobytes() for _, s in clips}) == 12


def test_stamps_are_told_apart_by_their_sounds_and_their_looks(stamp_clips):
    """A nearest-neighbour classifier of plain features, which knows 8 clips of a class, names the other 4 well above 1 in 8."""

    def spectrum(samples):
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        edges = np.geomspace(20, len(power) - 1, 24).astype(int)
        return np.log(np.add.reduceat(power, edges) / power.sum() + 1e-6)

    def colours(frames):
        middle = frames[0].astype(float)
        ground = middle[0, 0]  # a corner, where the picture is not
        picture = middle[np.abs(middle - ground).sum(axis=-1) > 30]
        return np.concatenate([picture.mean(axis=0), picture.std(axis=0)])

    for feature in (lambda clip: spectrum(clip[1]), lambda clip: colours(clip[0])):
        points = {name: np.stack([feature(clip) for clip in clips]) for name, clips in stamp_clips.items()}
        names = [name for name in points for _ in range(8)]
        known = np.concatenate([own[:8] for own in points.values()])
        spread = known.std(axis=0)
        right = [
            names[np.argmin(np.linalg.norm((known - point) / spread, axis=1))] == name
            for name, own in points.items()
            for point in own[8:]
        ]
        assert np.mean(right) > 0.6


def test_no_stamps_is_said_with_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(stamps, "STAMPS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_clips", "--source", "stamps"])
    with pytest.raises(SystemExit):
        make_clips.main()

    assert "apt-get install tuxpaint-stamps-default, or --source drawn" in capsys.readouterr().err


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
        assert sorted(row["choices"]) == sorted(drawn.CLASSES)
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
