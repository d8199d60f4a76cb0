"""`"perturbations": "standard"`, against sets written by hand."""

import json

import pytest
from helpers.runs import COLUMNS, write_datasets

from modality_interference.cli import main
from modality_interference.data.perturbations.registers import FAMILY_NAMES
from modality_interference.data.registry import perturbations
from modality_interference.data.spec import TwinsSpec
from modality_interference.data.standard import STANDARD_SET
from modality_interference.dataset_dir.entry import dataset_problems
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration.extensions import known_formats
from modality_interference.integration.offline import open_dataset


FAMILIES = ("statement", "dialogue", "headline", "note", "metadata", "table_row", "code_comment")
TEXTS = [{"name": name, "families": FAMILIES} for name in ("misleading_text", "unrelated_text")]
IMAGES = ["irrelevant_image", "random_pixels"]
CHOICE, CLIPS = "multiple_choice_twins", "audio_visual_twins"


def name_of(item):
    """Of a perturbation as a block writes it."""
    return item if isinstance(item, str) else item["name"]


@pytest.mark.parametrize(
    ("formatting", "block", "columns", "expected"),
    [
        (CHOICE, {"relevant": ["image"]}, ["images"], TEXTS),
        (CHOICE, {"relevant": ["text"]}, ["images"], IMAGES),
        (CHOICE, {"relevant": ["text"]}, [], ["random_pixels"]),
        (CHOICE, {"relevant": ["video"]}, ["videos", "audios"], [*TEXTS, "swapped_audio"]),
        (CHOICE, {"relevant": ["text", "audio"]}, ["videos", "audios"], ["swapped_video"]),
        (CHOICE, {"relevant": ["image"]}, [], TEXTS),
        (CHOICE, {"relevant": "depends_on"}, ["images"], [*TEXTS, *IMAGES]),
        ("image_classification_twins", {"relevant": ["image"]}, ["images", "label"], TEXTS),
        (CLIPS, {}, ["videos"], [*TEXTS, "swapped_video", "swapped_audio"]),
        (CLIPS, {"ask_about": "video"}, ["videos"], [*TEXTS, "swapped_audio"]),
    ],
)
def test_the_set_fits_the_rows(formatting, block, columns, expected):
    spec = TwinsSpec.parse(block | {"perturbations": "standard"}, "pets", formatting, columns)
    assert [item.name for item in spec.perturbations] == list(map(name_of, expected))
    assert spec == TwinsSpec.parse(block | {"perturbations": expected}, "pets", formatting)


def test_the_set_stands_among_others():
    own = {"name": "misleading_text", "template": "I see a {option}."}
    block = {"relevant": ["image"], "perturbations": [own, "standard", "ocr_text"]}
    spec = TwinsSpec.parse(block, "pets", CHOICE, ["images"])
    assert spec == TwinsSpec.parse(block | {"perturbations": [own, *TEXTS, "ocr_text"]}, "pets", CHOICE)
    with pytest.raises(ModalityInterferenceError, match=r"`twins.perturbations\[2\]` names the unknown .*'ocr_txt'"):
        TwinsSpec.parse(block | {"perturbations": [own, "standard", "ocr_txt"]}, "pets", CHOICE, ["images"])


@pytest.mark.parametrize(("relevant", "columns"), [(["image", "text"], ["images"]), (["text", "video"], ["videos"])])
def test_where_nothing_may_change_it_is_refused(relevant, columns):
    with pytest.raises(
        ModalityInterferenceError, match=r"`twins.perturbations` has \"standard\", and nothing .* is irrelevant"
    ):
        TwinsSpec.parse({"relevant": relevant, "perturbations": "standard"}, "pets", CHOICE, columns)


def test_the_set_changes_what_it_says():
    known = perturbations()
    for modality, items in STANDARD_SET.items():
        names = list(map(name_of, items))
        assert names and all(known[name].changes is modality for name in names)


def test_some_families_are_left_for_the_diagnosis():
    """Those that the studies hold out, so that what they found is said of the set."""
    assert set(FAMILY_NAMES) - set(FAMILIES) == {
        "quotation",
        "instruction",
        "other_language",
        "search_snippet",
        "ocr_noise",
    }


@pytest.mark.parametrize("written", ["standard", ["standard"]], ids=["alone", "listed"])
@pytest.mark.parametrize("name", ["pictures", "sums", "both"])
def test_the_check_and_runs_take_it(tmp_path, name, written):
    folder = write_datasets(tmp_path, rows=2)
    info = json.loads((folder / "dataset_info.json").read_text())
    entry = info[name]
    entry["twins"]["perturbations"] = written
    problems = dataset_problems(name, entry, folder, known_formats())
    if name == "both":
        assert len(problems) == 1 and "nothing of what the rows have is irrelevant" in problems[0]
        return

    assert problems == [] and entry["columns"] == COLUMNS
    with open_dataset(name, entry, folder, seed=7) as dataset:
        labels = [variant.perturbation for variant in next(dataset.examples([0])).twins]

    texts = ["misleading_text_7_families", "unrelated_text_7_families"]
    assert labels == (texts if name == "pictures" else ["random_pixels"])  # no row of `sums` has an image to lend


def test_a_diagnosis_of_an_entry_names_what_it_stands_for(tmp_path):
    from modality_interference.integration.prepare import open_entry, twins_entry

    folder = write_datasets(tmp_path, rows=2)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"]["perturbations"] = ["standard", "ocr_text"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with open_entry(folder, "pictures", info["pictures"], None) as data:
        assert twins_entry(data, None, None)["twins"]["perturbations"] == [*TEXTS, "ocr_text"]
        assert twins_entry(data, None, ["ocr_text"])["twins"]["perturbations"] == ["ocr_text"]


def test_a_perturbation_that_is_named_twice_is_diagnosed_twice(tmp_path):
    from modality_interference.integration.prepare import open_entry, twins_entry

    folder = write_datasets(tmp_path, rows=2)
    info = json.loads((folder / "dataset_info.json").read_text())
    written = [{"name": "misleading_text", "families": [family]} for family in ("note", "headline")]
    info["pictures"]["twins"]["perturbations"] = [*written, "unrelated_text"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with open_entry(folder, "pictures", info["pictures"], None) as data:
        assert twins_entry(data, None, None)["twins"]["perturbations"] == [*written, "unrelated_text"]
        assert twins_entry(data, None, ["misleading_text"])["twins"]["perturbations"] == written


def test_list_shows_it(capsys):
    assert main(["list"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    families = ", ".join(FAMILIES)
    texts = f"misleading_text (families: {families}), unrelated_text (families: {families})"
    assert f" text: {texts} image: irrelevant_image, random_pixels " in said
