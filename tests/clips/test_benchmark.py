"""The benchmark: balanced partners, stratified parts, rows, and a `dataset_info.json` that is there already."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.clip_files import write_labelled
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from modality_interference.cli import main
from modality_interference.clips.benchmark import PERTURBATIONS, Plan, assign_partners, build_benchmark
from modality_interference.clips.folder import prepare_folder
from modality_interference.clips.labels import Labels
from modality_interference.clips.prepare import Settings
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError


def same(names: str) -> list[Labels]:
    return [Labels(name, name) for name in names]


def have_partners(labels: list[Labels]) -> bool:
    """Whether a permutation exists, by a matching of the single clips."""
    allowed = [[a.visual != b.audio for b in labels] for a in labels]
    return bool((maximum_bipartite_matching(csr_array(np.array(allowed, dtype=np.int8))) >= 0).all())


# partners


@given(st.text("abcd", min_size=1, max_size=40), st.integers(0, 5))
def test_everyone_is_a_partner_once_and_of_another_class(names, seed):
    possible = 2 * max(Counter(names).values()) <= len(names)
    if not possible:
        with pytest.raises(ModalityInterferenceError, match="more than half"):
            assign_partners(same(names), seed, "here")
    else:
        partners = assign_partners(same(names), seed, "here")
        assert sorted(partners) == list(range(len(names)))
        assert all(names[one] != names[other] for one, other in enumerate(partners))


@given(st.lists(st.builds(Labels, st.sampled_from("abcde"), st.sampled_from("abcde")), min_size=1, max_size=16))
def test_a_video_gets_the_audio_of_another_class_wherever_that_is_possible(labels):
    seen, heard = Counter(label.visual for label in labels), Counter(label.audio for label in labels)
    possible = have_partners(labels)
    assert possible == all(seen[name] + heard[name] <= len(labels) for name in "abcde")  # Hall's condition
    if not possible:
        with pytest.raises(ModalityInterferenceError, match="more than half|together more than all"):
            assign_partners(labels, 1, "here")
    else:
        partners = assign_partners(labels, 1, "here")
        assert sorted(partners) == list(range(len(labels)))
        assert all(label.visual != labels[partner].audio for label, partner in zip(labels, partners, strict=True))


def test_partners_have_no_class_in_common_where_that_is_possible():
    """Three in five real clips show a dog or sound like one, so that not all partners can be strangers to it."""
    labels = [Labels("dog", name) for name in "abcdef"] + [Labels(name, "dog") for name in "abcdef"]
    labels += [Labels(name, name) for name in "ghijklmn"]
    partners = assign_partners(labels, 1, "")
    pairs = [(labels[one], labels[other]) for one, other in enumerate(partners)]
    strangers = sum(not {one.visual, one.audio} & {other.visual, other.audio} for one, other in pairs)
    assert (
        all(one.visual != other.audio for one, other in pairs) and strangers == 16
    )  # 8 beside 8 with a dog, both ways
    with pytest.raises(ModalityInterferenceError) as refusal:
        assign_partners([Labels("dog", "cat")] * 3 + [Labels("cat", "dog")] * 2 + [Labels("dog", "dog")], 1, "here")

    assert "the class `dog` is seen in 4 and heard in 3 of 6 clips, together more than all" in str(refusal.value)
    assert "Remove 1 clips in which it is seen and heard" in str(refusal.value)


def test_the_seed_draws_them():
    labels = same("abc" * 20)
    assert assign_partners(labels, 1, "") == assign_partners(labels, 1, "")
    assert assign_partners(labels, 1, "") != assign_partners(labels, 2, "")


def test_partners_come_from_all_other_classes():
    labels = same("abcd" * 100)
    pairs = Counter(
        (labels[one].visual, labels[other].visual) for one, other in enumerate(assign_partners(labels, 3, ""))
    )
    assert len(pairs) == 12 and sum(pairs.values()) == 400  # 33.3 each by chance
    assert 15 < min(pairs.values()) and max(pairs.values()) < 52


def test_a_class_that_is_too_large():
    with pytest.raises(ModalityInterferenceError) as refusal:
        assign_partners(same("aaaaaaabcd"), 1, "dataset `x`")

    assert str(refusal.value) == (
        "dataset `x`: the class `a` holds 7 of 10 clips, more than half, so that not all find a partner of another "
        "class. Remove 4 of it, or add as many clips of other classes."
    )
    assert assign_partners(same("aaabcd"), 1, "") and assign_partners(same("aaaaaaabcdbcdb"), 1, "")


# the benchmark


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_labelled(folder / "in", ["bell", "drum", "horn"], 4, seconds=1)
    prepare_folder(folder / "in", folder / "out", Settings(size=32), 2)
    return folder / "out"


@pytest.fixture
def clips(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "clips")


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def info(folder: Path) -> dict:
    return json.loads((folder / "dataset_info.json").read_text())


def edit(clips: Path, **changes: object) -> None:
    """Change the second line of clips.jsonl; None removes a key."""
    found = rows(clips / "clips.jsonl")
    found[1] = {key: value for key, value in (found[1] | changes).items() if value is not None}
    (clips / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def test_rows_and_entry(clips):
    built = build_benchmark(clips / "clips.jsonl", None, Plan())
    assert built.datasets == ["audio_visual"] and built.classes == ["bell", "drum", "horn"] and built.media_dir is None
    found = rows(clips / "audio_visual.jsonl")
    known = {row["video"]: row for row in rows(clips / "clips.jsonl")}
    assert [row["video"] for row in found] == list(known)
    for key in ("video", "audio"):
        assert sorted(row[f"swapped_{key}"] for row in found) == sorted(row[key] for row in found)

    of_audio = {row["audio"]: row for row in found}
    for row in found:
        clip, seen = known[row["video"]], known[row["swapped_video"]]
        assert row["audio"] == clip["audio"]
        assert (row["visual_label"], row["audio_label"]) == (clip["visual_label"], clip["audio_label"])
        assert row["swapped_visual_label"] == seen["visual_label"] != row["audio_label"]
        assert row["swapped_audio_label"] == of_audio[row["swapped_audio"]]["audio_label"] != row["visual_label"]
        # one misaligned clip, this video beside that audio, is asked what it shows here and how it sounds there
        assert of_audio[row["swapped_audio"]]["swapped_video"] == row["video"]
        assert all((clips / row[key]).is_file() for key in ("video", "audio", "swapped_video", "swapped_audio"))

    entry = info(clips)["audio_visual"]
    assert (entry["file_name"], entry["formatting"]) == ("audio_visual.jsonl", "audio_visual_twins")
    assert set(entry["columns"].values()) == set(found[0])
    spec = TwinsSpec.parse(entry["twins"], "audio_visual", entry["formatting"])
    assert (spec.classes, spec.options, spec.answer) == (("bell", "drum", "horn"), "all", "text")
    assert tuple(item.name for item in spec.perturbations) == PERTURBATIONS


def test_settings_reach_the_entry(clips):
    build_benchmark(
        clips / "clips.jsonl",
        None,
        Plan(name="x", options=2, answer="letter", question="{modality}?", abstention="Neither"),
    )
    entries = info(clips)
    assert (entries["x"]["twins"]["options"], entries["x"]["twins"]["answer"]) == (2, "letter")
    found = {}
    for name, entry in entries.items():
        assert entry["file_name"] == "x.jsonl" and entry["columns"] == entries["x"]["columns"]
        spec = TwinsSpec.parse(entry["twins"], name, entry["formatting"])
        assert spec.question == "{modality}?"
        found[name] = (spec.drop_asked_modality, spec.abstention, len(spec.perturbations))

    assert found == {
        "x": (False, None, len(PERTURBATIONS)),
        "x_removed": (True, None, 0),
        "x_removed_abstention": (True, "Neither", 0),
        "x_abstention": (False, "Neither", 0),
    }


def test_parts_have_partners_of_their_own(clips):
    plan = Plan(shares={"train": 0.75, "test": 0.25})
    build_benchmark(clips / "clips.jsonl", None, plan)
    train, test = rows(clips / "audio_visual_train.jsonl"), rows(clips / "audio_visual_test.jsonl")
    assert Counter(row["visual_label"] for row in train) == dict(bell=3, drum=3, horn=3)
    assert Counter(row["visual_label"] for row in test) == dict(bell=1, drum=1, horn=1)
    for part, other in ((train, test), (test, train)):
        of_part = {row["video"] for row in part}
        assert {row["swapped_video"] for row in part} == of_part
        assert {row["swapped_audio"] for row in part} == {row["audio"] for row in part}
        assert not of_part & {row["video"] for row in other}


def test_the_same_seed_gives_the_same_files(clips, tmp_path):
    written = []
    for seed in (1, 1, 2):
        build_benchmark(clips / "clips.jsonl", None, Plan(seed=seed))
        written.append((clips / "audio_visual.jsonl").read_text())

    assert written[0] == written[1] != written[2]


def test_skipped_and_unlabelled_clips_stay_out(clips):
    edit(clips, visual_label=None)
    found = rows(clips / "clips.jsonl")
    found[2] = {"source": "x.mp4", "status": "skipped", "reason": "silent: x"}
    (clips / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    built = build_benchmark(clips / "clips.jsonl", None, Plan())
    assert built.unused == {"skipped by `clips prepare`": 1, "without a label": 1}
    assert len(rows(clips / "audio_visual.jsonl")) == 10


def test_other_entries_stay(clips):
    others = {"pets": {"file_name": "pets.jsonl", "weight": 0.1, "note": "Grüße"}, "z": 1}
    (clips / "dataset_info.json").write_text(json.dumps(others))
    for _ in range(2):
        build_benchmark(clips / "clips.jsonl", None, Plan())
        assert list(info(clips)) == ["pets", "z", "audio_visual"]
        assert {name: info(clips)[name] for name in others} == others


def test_an_empty_info_is_filled(clips):
    (clips / "dataset_info.json").write_text("{}\n")
    build_benchmark(clips / "clips.jsonl", None, Plan())
    assert list(info(clips)) == ["audio_visual"]


@pytest.mark.parametrize("text", ['{"pets": {', "[]", '{"a": {}, "a": {}}', '"{}"'])
def test_an_info_that_cannot_be_read_is_left_alone(text, clips):
    (clips / "dataset_info.json").write_text(text)
    with pytest.raises(ModalityInterferenceError, match="dataset_info.json cannot be added to: .*Fix it first"):
        build_benchmark(clips / "clips.jsonl", None, Plan())

    assert (clips / "dataset_info.json").read_text() == text and not (clips / "audio_visual.jsonl").exists()


def test_nothing_else_is_overwritten(clips):
    (clips / "mine.jsonl").write_text("mine")
    others = {"pets": {"file_name": "other.jsonl"}, "drawn": {"file_name": "x.jsonl", "formatting": "alpaca"}}
    (clips / "dataset_info.json").write_text(json.dumps(others))
    (clips / "x.jsonl").write_text("x")
    for name, message in {
        "pets": "has another dataset `pets`",
        "mine": "mine.jsonl exists, and is not this dataset's",
        "x": "x.jsonl exists, and is not this dataset's",
        "clips": "would overwrite the list of clips",
    }.items():
        with pytest.raises(ModalityInterferenceError, match=message):
            build_benchmark(clips / "clips.jsonl", None, Plan(name=name))

    assert info(clips) == others and (clips / "mine.jsonl").read_text() == "mine"


def test_a_question_that_does_not_say_the_modality(clips):
    with pytest.raises(ModalityInterferenceError, match="asks the same about video and audio"):
        build_benchmark(clips / "clips.jsonl", None, Plan(question="What is it?"))

    assert not (clips / "audio_visual.jsonl").exists() and not (clips / "dataset_info.json").exists()


@pytest.mark.parametrize(("place", "prefix"), [(".", ""), ("..", "clips/"), ("../elsewhere", "")])
def test_another_folder(place, prefix, clips, tmp_path):
    out = clips / place
    built = build_benchmark(clips / "clips.jsonl", out, Plan())
    start = out if built.media_dir is None else built.media_dir
    assert (built.media_dir is None) == (place != "../elsewhere")
    for row in rows(out / "audio_visual.jsonl"):
        assert row["video"].startswith(f"{prefix}videos/") and (start / row["video"]).is_file()
        assert (start / row["swapped_audio"]).is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video": "../secret.mp4"}, "clips.jsonl, line 2: `video` '../secret.mp4' leads upwards"),
        ({"audio": "/etc/passwd"}, "clips.jsonl, line 2: `audio` '/etc/passwd' is absolute"),
        ({"audio": None}, "clips.jsonl, line 2: `audio` is missing"),
        ({"video": "videos/gone.mp4"}, "line 2: `video` names 'videos/gone.mp4', which does not exist"),
        ({"frames": "many"}, "line 2 is not what .*`frames`: .* found 'many'"),
        ({"colour": "red"}, "line 2 is not what .*`colour` is no known key. Allowed: `source`, "),
        ({"visual_label": " BELL"}, "the classes ' BELL' and 'bell' differ in case or spaces only"),
        ({"visual_label": "Cannot tell"}, "a class is called 'Cannot tell', which is what abstention says"),
    ],
)
def test_a_bad_line_is_named(changes, message, clips):
    edit(clips, **changes)
    with pytest.raises(ModalityInterferenceError, match=message):
        build_benchmark(clips / "clips.jsonl", None, Plan(abstention="cannot tell"))

    assert not (clips / "audio_visual.jsonl").exists() and not (clips / "dataset_info.json").exists()


def test_a_clip_that_is_listed_twice(clips):
    text = (clips / "clips.jsonl").read_text()
    (clips / "clips.jsonl").write_text(text + text.splitlines()[0] + "\n")
    with pytest.raises(ModalityInterferenceError, match="line 13: the clip .* has a line already"):
        build_benchmark(clips / "clips.jsonl", None, Plan())


def test_no_labels_at_all(clips):
    found = [{**row, "visual_label": None} for row in rows(clips / "clips.jsonl")]
    (clips / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    with pytest.raises(ModalityInterferenceError, match="has no clip with both labels"):
        build_benchmark(clips / "clips.jsonl", None, Plan())


def test_too_many_options(clips):
    found = rows(clips / "clips.jsonl")
    one = found[0]
    for number in range(1001):  # so many classes, one file
        path = f"videos/{number}.mp4"
        os.link(clips / one["video"], clips / path)
        found.append({**one, "source": path, "video": path, "visual_label": f"c{number}", "audio_label": f"c{number}"})

    (clips / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    for plan in (Plan(), Plan(options=1001), Plan(options=1000, abstention="Neither")):
        with pytest.raises(ModalityInterferenceError, match=r"would offer \d+ options, and 1000 are the most"):
            build_benchmark(clips / "clips.jsonl", None, plan)


# the command


def test_the_command_prints_a_table(clips, capsys):
    arguments = ["clips", "pair", str(clips / "clips.jsonl"), "--split", "train=0.75,test=0.25", "--name", "av"]
    assert main([*arguments, "--options", "2", "--answer", "letter", "--abstention", "Neither", "--seed", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:6]] == [
        *([name, "3", "/", "3", "1", "/", "1"] for name in ("bell", "drum", "horn")),
        ["clips", "9", "3"],
        ["questions", "18", "6"],
    ]
    suffixes = ("", "_removed", "_removed_abstention", "_abstention")
    names = [f"av_{part}{suffix}" for part in ("train", "test") for suffix in suffixes]
    assert lines[6] == f"Datasets in {clips}: {', '.join(names)}"
    assert list(info(clips)) == names


def test_the_command_says_which_media_dir(clips, tmp_path, capsys):
    assert main(["clips", "pair", str(clips / "clips.jsonl"), "-o", str(tmp_path / "elsewhere")]) == 0
    assert f"give your recipes `media_dir: {clips}`" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a,b", "../x", ".hidden", "a b", ""])
def test_names_that_a_recipe_could_not_list(name, clips, capsys):
    assert main(["clips", "pair", str(clips / "clips.jsonl"), f"--name={name}"]) == 1
    assert "`--name" in capsys.readouterr().err


def test_an_absent_list(tmp_path, capsys):
    assert main(["clips", "pair", str(tmp_path / "clips.jsonl")]) == 1
    assert "cannot read" in capsys.readouterr().err
