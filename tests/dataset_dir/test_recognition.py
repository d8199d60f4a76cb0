"""Columns of data files, recognised by their names and cells."""

import base64
import json
import time

import pytest
from helpers.diagnoses import image_uri
from helpers.recipes import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.data.registry import formats
from modality_interference.dataset_dir.cells import answer_reading, images_reading, messages_reading, options_reading
from modality_interference.dataset_dir.recognition import recognise
from modality_interference.dataset_dir.twins_entry import fitting_perturbations, twins_of
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality


PNG = base64.b64decode(image_uri("red").split(",")[1])
CHOICE = {"question": "Which?", "choices": ["cat", "dog"], "answer": "dog", "image": "a.png"}
TURNS = [{"role": "user", "content": "<image>Which?"}, {"role": "assistant", "content": "A dog."}]


def recognised(row, **keys):
    return recognise(list(row), [row] * 4, **keys)


# names: those of published benchmarks, as their cards on the hub list them


@pytest.mark.parametrize(
    ("row", "formatting", "columns"),
    [
        (CHOICE, "multiple_choice_twins", {"question": "question", "choices": "choices", "answer": "answer"}),
        (
            {"Question": "Which?", "Options": ["cat", "dog"], "Correct Answer": "B"},
            "multiple_choice_twins",
            {"question": "Question", "choices": "Options", "answer": "Correct Answer"},
        ),
        (  # MMBench and other files of VLMEvalKit
            {"index": 0, "question": "Which?", "hint": None, "A": "cat", "B": "dog", "answer": "B", "image": "x.png"},
            "lettered_choice_twins",
            {"question": "question", "A": "A", "B": "B", "answer": "answer", "images": "image", "context": "hint"},
        ),
        (  # MedMCQA
            {"question": "Which?", "opa": "w", "opb": "x", "opc": "y", "opd": "z", "cop": 1},
            "lettered_choice_twins",
            {"question": "question", "A": "opa", "B": "opb", "C": "opc", "D": "opd", "answer": "cop"},
        ),
        (
            {"query": "Which?", "option_1": "w", "option_2": "x", "label": "w"},
            "lettered_choice_twins",
            {"question": "query", "A": "option_1", "B": "option_2", "answer": "label"},
        ),
        (  # ARC
            {"id": "1", "question": "Which?", "choices": {"text": ["w", "x"], "label": ["A", "B"]}, "answerKey": "A"},
            "multiple_choice_twins",
            {"question": "question", "choices": "choices", "answer": "answerKey"},
        ),
        ({"question": "Which?", "answer": "A dog."}, "alpaca_twins", {"prompt": "question", "response": "answer"}),
        (
            {"instruction": "Name it.", "input": "", "output": "A dog."},
            "alpaca_twins",
            {"prompt": "instruction", "query": "input", "response": "output"},
        ),
        ({"messages": TURNS, "images": ["a.png"]}, "sharegpt_twins", {"messages": "messages", "images": "images"}),
        (
            {"conversations": [{"from": "human", "value": "Hi"}], "video": "a.mp4"},
            "sharegpt_twins",
            {"messages": "conversations", "videos": "video"},
        ),
        ({**CHOICE, "file_name": "b.wav"}, "multiple_choice_twins", {"images": "image", "audios": "file_name"}),
    ],
)
def test_the_names_that_data_sets_use(row, formatting, columns):
    found = recognised(row)
    assert found.formatting == formatting
    assert columns.items() <= found.columns.items()
    layout = formats()[formatting]
    assert set(layout.columns) <= set(found.columns) <= {*layout.columns, *layout.optional}


CELLS_OF = {
    "choices": ["cat", "dog"],
    "answer": "A",
    "label": 0,
    "images": {"bytes": PNG, "path": None},
    "videos": "a.mp4",
    "audios": "a.wav",
    "messages": [{"from": "human", "value": "Hi"}],
}
PUBLISHED = [
    (name, entry)
    for info in sorted((ROOT / "data_recipes").glob("*/dataset_info.json"))
    for name, entry in json.loads(info.read_text()).items()
    if "twins" in entry and entry["formatting"] != "audio_visual_twins"
]


@pytest.mark.parametrize(("name", "entry"), PUBLISHED, ids=[name for name, _ in PUBLISHED])
def test_published_data_is_recognised_as_its_data_recipe_describes_it(name, entry):
    """Data recipes were written by hand. What should be a distractor is another question than what it is called."""
    row = {column: CELLS_OF.get(key, "some text") for key, column in entry["columns"].items()}
    if row.get("media"):  # of any kind, which the suffix tells
        kind = next(key for key, column in entry["columns"].items() if column == "media")
        row["media"] = {"images": "a.png"}.get(kind, CELLS_OF[kind])

    found = recognised(row, classes=[entry["columns"]["label"]] if "label" in entry["columns"] else [])
    unknown = ("distractors", "context", "swapped_video", "swapped_audio")  # nobody can tell what they are for
    expected = {key: column for key, column in entry["columns"].items() if key not in unknown}
    assert found.formatting == entry["formatting"]
    assert {key: column for key, column in found.columns.items() if key not in unknown} == expected


def test_of_several_columns_with_a_fitting_name_the_one_with_values():
    row = {**CHOICE, "images": None, "options": None}
    assert recognised(row).columns["images"] == "image"


def test_images_with_class_labels():
    found = recognised({"img": {"bytes": PNG, "path": None}, "label": 1}, classes=["label"])
    assert (found.formatting, found.columns) == ("image_classification_twins", {"images": "img", "label": "label"})


def test_the_tags_of_turns_that_are_not_llamafactorys_own():
    assert recognised({"messages": TURNS}).tags["user_tag"] == "user"
    assert recognised({"conversations": [{"from": "human", "value": "Hi"}]}).tags == {}


def test_columns_that_are_no_questions_are_refused_with_names_that_would_be_known():
    with pytest.raises(ModalityInterferenceError, match=r"`x`, `y`.*`question`.*`answer`.*docs/data.md"):
        recognised({"x": 1, "y": 2})


# cells


@pytest.mark.parametrize(
    "text",
    [
        "['it's', \"dog\"]".replace("it's", "cat"),
        "['cat' 'dog']",  # as numpy prints it
        "A. cat\nB. dog",
        "(A) cat (B) dog",
        "A: cat; B: dog",
        "cat\ndog",
        "cat|dog",
        "cat; dog",
        "cat, dog",
    ],
)
@pytest.mark.parametrize("answer", ["dog", "B", 1, "1"])
def test_options_in_one_text(text, answer):
    reading = options_reading([text] * 3, [answer] * 3)
    assert reading.convert(text) == ["cat", "dog"]


def test_an_apostrophe_does_not_end_an_option():
    text = str(["it's", 'a "dog"', "both ' and \""])
    assert options_reading([text], ["A"]).convert(text) == ["it's", 'a "dog"', "both ' and \""]


@pytest.mark.parametrize(
    "items",
    [
        ["caf\u00e9", "5\xa0km", "x\ny", "C:\\dir", "\\frac{1}{2}"],
        ["cat", 3, "cow", None],
        [1.5, 2.5],
        ["None", "He said 'True'", 'a "b"'],
        ["\u4e2d\u6587", "\U0001f600 \x00"],
        {"A": "cat", "B": "don't"},
    ],
)
def test_what_python_prints_is_read_back(items):
    texts = [None if item is None else str(item) for item in (items.values() if isinstance(items, dict) else items)]
    for printed in (repr(items), ascii(items)):
        reading = options_reading([printed, "['cat', 'dog']"] * 5, [texts[1], "dog"] * 5)
        found = reading.convert(printed)
        assert found == (texts if isinstance(items, list) else {"text": texts, "label": list(items)})


@given(
    st.lists(st.text(), min_size=2, max_size=6, unique_by=str.strip).filter(lambda items: all(map(str.strip, items)))
)
def test_any_list_of_texts_that_python_prints(items):
    reading = options_reading([ascii(items)], [items[0].strip()])
    if reading is not None:  # None: it is JSON, or its answer is not found for another reason
        found = reading.convert(ascii(items))
        assert found == items or any("\ud800" <= letter <= "\udfff" for letter in "".join(items))


@pytest.mark.parametrize("text", ["['cat', dog]", "[['cat'], ['dog']]", "{'A': ['cat']}", "['cat', 'dog'"])
def test_a_list_that_cannot_be_read_is_not_split_at_commas(text):
    assert options_reading([text] * 3, ["dog"] * 3) is None


def test_media_in_columns_of_their_own_are_not_left_out_in_silence():
    row = {"question": "Which?", "choices": ["w", "x"], "answer": "A"}
    for media in (
        {"image_1": {"bytes": PNG, "path": None}, "image_2": None},
        {"img1": "a.png"},
        {"image": "a", "video_2": "b.mp4"},
    ):
        with pytest.raises(ModalityInterferenceError, match="hold media, and formats read those of one column each"):
            recognised(row | media)

    with pytest.raises(ModalityInterferenceError, match="`screenshot`"):
        recognised(row | {"screenshot": {"bytes": PNG, "path": None}})

    assert recognised(row | {"image_1": None, "image": "a.png", "thumbnail": {"bytes": PNG, "path": None}}).media


@pytest.mark.parametrize("cell", [["cat", "dog"], '["cat", "dog"]', '{"A": "cat", "B": "dog"}'])
def test_options_that_formats_read_stay_as_they_are(cell):
    assert options_reading([cell], ["dog"]) is None


def test_answers_that_count_from_one():
    options = [["w", "x", "y"]] * 3
    reading = answer_reading([1, 3, "2"], options)
    assert [reading.convert(cell) for cell in (1, "3", 2.0, None, "?")] == [0, 2, 1, None, None]
    assert answer_reading([1, 2, 0], options) is None  # from 0
    assert answer_reading([1, 2, 2], options) is None  # nobody knows: from 0, as everywhere
    assert answer_reading([1, 3, 2], [["1", "2", "3"]] * 3) is None  # the options' texts


def test_images_as_base64_data_uris_and_lists_of_them(tmp_path):
    plain = base64.b64encode(PNG).decode()
    cells = [plain, image_uri("red"), str([plain, plain]), "a.png", {"bytes": PNG, "path": None}, None, ""]
    reading = images_reading(cells, "/media")
    image = {"bytes": PNG, "path": None}
    found = [reading.convert(cell) for cell in cells]
    assert found[:3] == [[image], [image], [image, image]]
    assert found[3] == [{"bytes": None, "path": "/media/a.png"}]
    assert found[4:] == [[image], None, None]


def test_paths_in_a_list_that_is_written_as_text():
    assert images_reading(["['a.png', 'b.png']"], "").convert("['a.png', 'b.png']") == ["a.png", "b.png"]
    assert images_reading(["a.png"], "") is None


def test_contents_of_turns_in_parts():
    parts = [{"type": "image", "text": None}, {"type": "text", "text": "Which?"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A dog."}]
    assert messages_reading([turns]).convert(turns) == TURNS
    assert messages_reading([TURNS]) is None


# what the twins are


def test_relevance_is_guessed_only_where_one_modality_can_be_meant():
    text = recognised({"question": "Which?", "choices": ["w", "x"], "answer": "A"})
    assert twins_of(text, None, None)["twins"] == {
        "relevant": ["text"],
        "perturbations": ["typographic_image", "black_image", "random_pixels"],
    }
    with pytest.raises(ModalityInterferenceError, match="`--relevant image`"):
        twins_of(recognised(CHOICE), None, None)


def test_perturbations_that_fit_the_rows():
    image, text = [Modality.IMAGE], [Modality.TEXT]
    assert fitting_perturbations(recognised(CHOICE), image) == ["misleading_text", "unrelated_text"]
    assert fitting_perturbations(recognised(CHOICE), text) == [
        "irrelevant_image",
        "typographic_image",
        "black_image",
        "random_pixels",
    ]
    assert fitting_perturbations(recognised({"question": "?", "answer": "a", "image": "a"}), image) == [
        "misleading_text",
        "unrelated_text",
    ]
    sounds = {"question": "?", "answer": "a", "video": "a.mp4", "audio": "a.wav"}
    assert fitting_perturbations(recognised(sounds), [Modality.VIDEO]) == [
        "misleading_text",
        "unrelated_text",
        "silence",
    ]
    with pytest.raises(ModalityInterferenceError, match="depend on all that the rows have"):
        fitting_perturbations(recognised(CHOICE), [*image, *text])

    with pytest.raises(ModalityInterferenceError, match="Did you mean `black_image`"):
        twins_of(recognised(CHOICE), text, ["black_imag"])


# anything at all

NAMES = st.sampled_from("question choices answer image images messages A B option_a label index file_name x".split())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
TEXTS = st.sampled_from(
    ["['a'", "A. x B. y", "[", "data:image/png;base64,x", "iVBORw0KGgo" + "A" * 80, "1", "a;b", "\0"]
)
CELLS = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("role content from value text bytes path type".split()), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.dictionaries(NAMES | st.text(max_size=5), CELLS, max_size=6), max_size=3), st.lists(NAMES, max_size=2)
)
def test_nothing_but_our_errors_whatever_the_columns_hold(rows, classes):
    columns = list({name: None for row in rows for name in row})
    try:
        found = recognise(columns, rows, classes)
    except ModalityInterferenceError:
        return

    layout = formats()[found.formatting]
    assert set(layout.columns) <= set(found.columns) <= {*layout.columns, *layout.optional}
    assert set(found.columns.values()) <= set(columns)
    for column, reading in found.readings.items():
        for row in rows:
            reading.convert(row.get(column))


@pytest.mark.parametrize("cell", ["['" + "\\'" * 200_000 + "]", "[" + "'" * 200_001 + "]"], ids=["escaped", "bare"])
def test_quotes_that_are_not_closed_take_no_time(cell):
    began = time.process_time()
    options_reading([cell], ["a"])
    assert time.process_time() - began < 5  # it was quadratic: hours
