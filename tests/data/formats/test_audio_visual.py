"""Clips as questions: what a format makes of a labelled clip, its options, its partner, and what is refused."""

from collections import Counter
from typing import Any

import pytest
from datasets import Dataset, IterableDataset
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.data.converter import make_converter
from modality_interference.data.formats.audio_visual import ask_each
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality


NAMES = ["bell", "drum", "horn", "rain", "siren", "voice"]
SWAPS = ["swapped_audio", "swapped_video"]
EVERY = [*SWAPS, "silence", "black_frames", "misleading_caption", {"name": "long_context", "tokens": 9}]
OWN = {"videos": "video", "audios": "audio", "visual_label": "sight", "audio_label": "sound"}
PARTNER = {
    "swapped_video": "other_video",
    "swapped_audio": "other_audio",
    "swapped_visual_label": "other_sight",
    "swapped_audio_label": "other_sound",
}


def clip(number: int, name: str, other: str = "") -> dict[str, Any]:
    row = {"video": f"{number}.mp4", "audio": f"{number}.wav", "sight": name, "sound": name}
    if other:
        row |= {"other_video": "o.mp4", "other_audio": "o.wav", "other_sight": other, "other_sound": other}

    return row


def convert(rows: list[dict[str, Any]], columns: dict[str, str], **block: Any) -> list[dict[str, Any]]:
    """The `_twins` of every question, with the aligned media."""
    found = []
    for aligned in aligned_rows(rows, columns, **block):
        media = {name: aligned[f"_{name}"] for name in ("videos", "audios", "twin_videos", "twin_audios", "prompt")}
        found.append(aligned["_twins"] | {"media": media, "response": aligned["_response"]})

    return found


def aligned_rows(rows: list[dict[str, Any]], columns: dict[str, str], seed: int = 0, **block: Any) -> list[dict]:
    spec = parse(**block)
    converter = make_converter(
        formatting="audio_visual_twins",
        spec=spec,
        columns=columns,
        dataset_name="clips",
        column_names=list(rows[0]),
        other_rows=rows,
        seed=seed,
    )
    asked = ask_each(Dataset.from_list(rows), spec.asked_modalities)
    return [converter(row, index) for index, row in enumerate(asked)]


def parse(**block: Any) -> TwinsSpec:
    return TwinsSpec.parse({"classes": NAMES, "answer": "text"} | block, "clips", "audio_visual_twins")


def test_one_clip_gives_two_questions_with_the_twins_that_leave_them_answerable():
    seen, heard = convert([clip(0, "bell", "drum")], OWN | PARTNER, options="all", perturbations=EVERY)
    assert (seen["relevant"], heard["relevant"]) == (Modality.VIDEO.bit, Modality.AUDIO.bit)
    assert (seen["row"], heard["row"], seen["clip"], heard["clip"]) == (0, 1, 0, 0)
    assert seen["key"] != heard["key"]
    content = seen["media"]["prompt"][0]["content"]
    assert content.startswith("<video><audio>Question:\nWhat do you see in this clip?")
    assert "What do you hear in this clip?" in heard["media"]["prompt"][0]["content"]
    for record in (seen, heard):
        assert sorted(record["choices"]) == NAMES and record["choices"][record["answer"]] == "bell"
        assert record["response"][0]["content"] == "bell"
        assert (record["media"]["videos"], record["media"]["audios"]) == (["0.mp4"], ["0.wav"])

    twins = [{item["perturbation"]: item for item in record["variants"]} for record in (seen, heard)]
    text = {"misleading_caption", "long_context"}
    assert [set(found) for found in twins] == [
        {"swapped_audio", "silence"} | text,
        {"swapped_video", "black_frames"} | text,
    ]
    swapped, silent = twins[0]["swapped_audio"], twins[0]["silence"]
    assert (swapped["videos"], swapped["audios"], swapped["target"]) == (["row:0"], ["extra:0:row:0"], "drum")
    assert (silent["videos"], silent["audios"], silent["target"]) == (["row:0"], ["removed:row:0"], None)
    assert seen["media"]["twin_audios"] == ["o.wav"] and seen["media"]["twin_videos"] is None
    swapped, black = twins[1]["swapped_video"], twins[1]["black_frames"]
    assert (swapped["videos"], swapped["audios"], swapped["target"]) == (["extra:0:row:0"], ["row:0"], "drum")
    assert (black["videos"], black["audios"]) == (["removed:row:0"], ["row:0"])
    assert heard["media"]["twin_videos"] == ["o.mp4"] and heard["media"]["twin_audios"] is None


@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True), st.integers(2, 6), st.integers(0, 99))
def test_partners_are_drawn_among_other_classes_and_offered(names: list[str], options: int, seed: int):
    rows = [clip(number, name) for number, name in enumerate(names * 3)]
    for record in convert(rows, OWN, options=options, perturbations=SWAPS, seed=seed):
        if record["dropped"]:  # in 64 draws no clip of another class: one in 2 ** 64
            raise AssertionError(record["dropped"])

        (variant,) = record["variants"]
        own = rows[record["clip"]]["sight"]
        assert len(record["choices"]) == options == len(set(record["choices"]))
        assert record["choices"][record["answer"]] == own != variant["target"]
        assert variant["target"] in record["choices"]
        borrowed = record["media"]["twin_videos"] or record["media"]["twin_audios"]
        assert rows[int(borrowed[0].split(".")[0])]["sight"] == variant["target"]


def test_choices_depend_on_the_seed_only():
    rows = [clip(number, NAMES[number % 6]) for number in range(12)]
    first, again = (convert(rows, OWN, options=3, perturbations=SWAPS) for _ in range(2))
    other = convert(rows, OWN, options=3, perturbations=SWAPS, seed=1)
    assert first == again != other
    moved = convert(rows[6:] + rows[:6], OWN, options=3, perturbations=[])
    stayed = convert(rows, OWN, options=3, perturbations=[])
    known = {record["key"]: record["choices"] for record in stayed}
    assert all(known[record["key"]] == record["choices"] for record in moved)
    assert len({tuple(record["choices"]) for record in stayed}) > 12
    assert set(Counter(record["answer"] for record in stayed)) == {0, 1, 2}


@pytest.mark.parametrize("abstention", [None, "None of the above"])
@pytest.mark.parametrize("removed", [False, True])
def test_abstention_and_its_controls(removed: bool, abstention: str | None):
    """The way out is offered last, right where the asked modality is missing; without one, the true class stays right."""
    block = {"drop_asked_modality": removed} | ({} if abstention is None else {"abstention": abstention})
    perturbations = [*SWAPS, "misleading_caption"]
    rows = [clip(number, NAMES[number % 6], NAMES[(number + 1) % 6]) for number in range(12)]
    for record in convert(rows, OWN | PARTNER, options=3, perturbations=perturbations, **block):
        name = rows[record["clip"]]["sight"]
        right = abstention if removed and abstention else name
        assert record["choices"][record["answer"]] == right == record["response"][0]["content"]
        assert record["abstention"] == abstention and record["target"] is None
        classes = record["choices"][:-1] if abstention else record["choices"]
        assert {name, rows[record["clip"]]["other_sight"]} < set(classes) <= set(NAMES) and len(classes) == 3
        assert abstention in (None, record["choices"][-1])
        (asked, other) = ("videos", "audios") if record["relevant"] == Modality.VIDEO.bit else ("audios", "videos")
        assert (record[asked], record[other]) == (["removed:row:0" if removed else "row:0"], ["row:0"])
        for variant in record["variants"]:
            assert variant[asked] == record[asked]
            assert variant["target"] not in (right, abstention)


def test_a_clip_whose_labels_differ_offers_both():
    rows = [clip(0, "bell", "rain") | {"sound": "drum"}, clip(1, "horn", "rain") | {"sound": ""}]
    seen, heard, unknown, _ = convert(rows, OWN | PARTNER, options=2, perturbations=EVERY)
    for record, right, target in ((seen, "bell", "drum"), (heard, "drum", "bell")):
        assert (record["choices"][record["answer"]], record["target"]) == (right, target)
        assert set(record["choices"]) == {"bell", "drum", "rain"}
        targets = {item["perturbation"]: item["target"] for item in record["variants"]}
        (swapped,) = [name for name in targets if name.startswith("swapped")]
        assert targets.pop(swapped) == "rain" and targets.pop("misleading_caption") in (
            {"drum", "bell", "rain"} - {right}
        )
        assert set(targets.values()) == {None}

    assert unknown["target"] is None and set(unknown["choices"]) == {"horn", "rain"}


PUBLISHED = "Which class best describes the {modality} content of this video? Options: {options}. Answer using a single class name."


def test_the_published_prompt():
    seen, heard = convert(
        [clip(0, "bell")], OWN, options="all", question=PUBLISHED, perturbations=["misleading_caption"]
    )
    for record, word in ((seen, "visual"), (heard, "audio")):
        options = ", ".join(record["choices"])
        expected = f"Which class best describes the {word} content of this video? Options: {options}. Answer using a single class name."
        assert record["media"]["prompt"] == [{"role": "user", "content": f"<video><audio>{expected}"}]

    (seen, heard) = convert(
        [clip(0, "bell")], OWN, question={"video": "Seen?", "audio": "Heard? {options}"}, answer="letter"
    )
    assert "Question:\nSeen?\nOption:\nA: " in seen["media"]["prompt"][0]["content"]
    lettered = ", ".join(f"{letter}: {name}" for letter, name in zip("ABCD", heard["choices"], strict=True))
    assert heard["media"]["prompt"][0]["content"] == f"<video><audio>Heard? {lettered}"
    assert heard["response"][0]["content"] == "ABCD"[heard["answer"]]


def test_seventy_six_classes_as_options():
    names = [f"class {number}" for number in range(76)]
    block = {"classes": names, "options": "all", "answer": "letter"}
    seen, _ = convert([clip(0, "class 75")], OWN, **block)
    content = seen["media"]["prompt"][0]["content"]
    assert sorted(seen["choices"]) == sorted(names) and f"\nBX: {seen['choices'][-1]}\n" in content
    assert f"\n{seen['response'][0]['content']}: class 75\n" in content


def test_one_modality_only():
    columns = {"videos": "video", "visual_label": "sight"}
    (seen,) = convert([clip(0, "bell")], columns, ask_about="video", perturbations=["misleading_caption"])
    assert seen["media"]["audios"] is None and seen["media"]["prompt"][0]["content"].startswith("<video>Question")
    columns = {"videos": "video", "audio_label": "sound"}  # the clip's own audio
    (heard,) = convert([clip(0, "bell")], columns, ask_about="audio", perturbations=["black_frames"])
    assert heard["media"]["audios"] == ["0.mp4"] and heard["relevant"] == Modality.AUDIO.bit
    columns = {"videos": "video", "visual_label": "sight"}
    (seen,) = convert([clip(0, "bell")], columns, ask_about="video", perturbations=["silence"])
    assert seen["media"]["audios"] == ["0.mp4"]


@pytest.mark.parametrize(
    ("columns", "block", "message"),
    [
        (OWN, {"relevant": ["video"]}, "asks about one modality after the other. Remove the key"),
        (OWN, {"ask_about": "smell"}, '`twins.ask_about` must be "both", "video" or "audio", found \'smell\''),
        (
            OWN,
            {"ask_about": "video", "perturbations": ["black_frames"]},
            "changes video, the only modality that is asked",
        ),
        (
            OWN,
            {"ask_about": "audio", "perturbations": ["swapped_audio"]},
            "changes audio, the only modality that is asked",
        ),
        (OWN, {"options": "some"}, 'a whole number from 2 to 1000, or "all"'),
        (OWN, {"options": 1001}, 'a whole number from 2 to 1000, or "all"'),
        (OWN, {"classes": [f"c{i}" for i in range(1001)], "options": "all"}, "A question can have 1000 options"),
        (
            OWN,
            {"classes": [f"c{i}" for i in range(1000)], "options": "all", "abstention": "Neither"},
            "give at most 999 `options`",
        ),
        (OWN, {"abstention": "bell"}, "and a class is called so"),
        (OWN, {"question": "What is it?"}, "asks the same about video and audio. Write {modality}"),
        (OWN, {"question": {"video": "What is it?"}}, "has no question about audio"),
        (
            OWN,
            {"question": {"smell": "What is it?"}},
            "`twins.question` must be a text that is not empty, or for clips",
        ),
        (OWN, {"classes": None}, "has no class names. Give a list"),
        ({"videos": "video", "visual_label": "sight"}, {}, "`columns.audio_label` is missing, and `twins.ask_about`"),
        ({"videos": "video", "audio_label": "sound"}, {}, 'or set `ask_about` to "audio"'),
        (OWN | {"swapped_video": "other_video"}, {"perturbations": SWAPS}, "needs `columns.swapped_visual_label`"),
        (
            OWN | {"swapped_video": "other_video"},
            {"perturbations": ["swapped_audio"]},
            "needs `columns.swapped_audio`",
        ),
    ],
)
def test_what_does_not_fit_is_refused(columns: dict[str, str], block: dict[str, Any], message: str):
    with pytest.raises(ModalityInterferenceError) as error:
        aligned_rows([clip(0, "bell", "drum")], columns, **block)

    assert message in str(error.value)


def test_a_stream_has_no_other_rows_to_swap_with():
    spec = parse(perturbations=SWAPS)
    with pytest.raises(ModalityInterferenceError, match="streaming has no random access"):
        make_converter(
            formatting="audio_visual_twins",
            spec=spec,
            columns=OWN,
            dataset_name="clips",
            column_names=list(clip(0, "bell")),
        )


def test_a_class_without_a_counterpart_is_dropped():
    rows = [clip(number, "bell") for number in range(4)]
    for record in convert(rows, OWN, perturbations=SWAPS):
        assert record["dropped"]["kind"] == "no clip of another class" and record["clip"] == record["row"] // 2


def test_a_stream_is_asked_the_same_questions():
    rows = [clip(number, "bell") for number in range(5)]
    dataset, modalities = Dataset.from_list(rows), (Modality.VIDEO, Modality.AUDIO)
    expected = list(ask_each(dataset, modalities))
    assert [(row["_clip"], row["_asked"]) for row in expected] == [
        (i, s) for i in range(5) for s in ("video", "audio")
    ]
    assert list(ask_each(dataset.to_iterable_dataset(num_shards=2), modalities)) == expected
    unknown = IterableDataset.from_generator(lambda: iter(rows))
    assert list(ask_each(unknown, modalities)) == expected


GONE = ["swapped_video", "swapped_audio", "silence", "black_frames"]


@pytest.mark.parametrize("twins", [[], SWAPS[:1], SWAPS, ["misleading_caption"]])
@pytest.mark.parametrize("columns", [OWN, OWN | PARTNER])
def test_counterfactuals_of_the_asked_modality_change_nothing_else(twins, columns):
    rows = [clip(number, name, NAMES[number - 1]) for number, name in enumerate(NAMES)]
    plain = convert(rows, columns, perturbations=twins)
    with_gone = convert(rows, columns, perturbations=twins, counterfactuals=GONE)
    borrowed = ("twin_videos", "twin_audios")
    for before, after in zip(plain, with_gone, strict=True):
        made = after.pop("counterfactuals")
        assert before.pop("counterfactuals") == []
        media, other = after["media"], before["media"]
        lent = [item for name in borrowed for item in media.pop(name) or []]
        twins_lent = [item for name in borrowed for item in other.pop(name) or []]
        assert before == after and set(twins_lent) <= set(lent)
        asked = "video" if after["relevant"] == Modality.VIDEO.bit else "audio"
        removed = {"video": "black_frames", "audio": "silence"}[asked]
        assert [row["perturbation"] for row in made] == [
            f"counterfactual_swapped_{asked}",
            f"counterfactual_{removed}",
        ]
        assert made[1][f"{asked}s"] == ["removed:row:0"]
        assert made[0][f"{asked}s"][0].startswith("extra:") and all(row["target"] is None for row in made)
        assert after["media"][f"{asked}s"][0] not in lent  # a clip of another class, never its own


def test_another_clip_of_the_same_class_leaves_the_answer_right():
    rows = [clip(0, "bell", "drum") | {"other_sight": "bell"}]
    seen, heard = convert(rows, OWN | PARTNER, counterfactuals=GONE[:2])
    assert seen["counterfactuals"] == []
    assert [row["perturbation"] for row in heard["counterfactuals"]] == ["counterfactual_swapped_audio"]
