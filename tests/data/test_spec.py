"""The `twins` block: what it accepts, and what it says about what it refuses."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.data.registry import formats, perturbations, register_format, register_perturbation
from modality_interference.data.spec import TwinsSpec, read_relevant
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality


FORMAT = "multiple_choice_twins"
TEXT_PERTURBATIONS = ["unrelated_text", "misleading_text", "given_text", "ocr_text", "misleading_caption"]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parse(block: object, formatting: str = FORMAT) -> TwinsSpec:
    return TwinsSpec.parse(block, dataset="pets", formatting=formatting)


def test_names_and_objects_become_validated_parameters():
    spec = parse({"relevant": ["image"], "perturbations": ["unrelated_text", {"name": "ocr_text", "lines": 3}]})
    assert spec.relevant == (Modality.IMAGE,)
    assert [item.label for item in spec.perturbations] == ["unrelated_text", "ocr_text"]
    assert spec.perturbations[0].parameters.sentences == 1
    assert spec.perturbations[1].parameters.lines == 3
    assert spec.perturbations[1].changes is Modality.TEXT


def test_defaults():
    spec = parse({"relevant": ["image"]})
    assert (spec.perturbations, spec.answer, spec.options, spec.classes) == ((), "letter", 4, None)
    assert spec.relevant_column is None


def test_the_same_perturbation_twice_has_two_labels():
    spec = parse({"relevant": ["image"], "perturbations": ["ocr_text", {"name": "ocr_text", "lines": 9}, "ocr_text"]})
    assert [item.label for item in spec.perturbations] == ["ocr_text", "ocr_text_2", "ocr_text_3"]


def test_a_relevant_column_allows_every_perturbation():
    spec = parse({"relevant": "kind", "perturbations": ["black_image", "misleading_text"]})
    assert spec.relevant_column == "kind"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([], "dataset `pets`: `twins` must be an object such as"),
        ({"relevant": ["image"], "perturbation": []}, "no known key. Did you mean `perturbations`?"),
        ({"relevant": ["image"], "colour": 1}, "`twins.colour` is no known key. Allowed: `relevant`, `perturbations`"),
        ({"perturbations": []}, "`twins.relevant` is missing; give a non-empty list out of"),
        ({"relevant": []}, "`twins.relevant` must be a non-empty list"),
        ({"relevant": ["smell"]}, "found 'smell'"),
        ({"relevant": 5}, "found 5"),
        ({"relevant": "image"}, 'For all rows write ["image"]'),
        ({"relevant": float("nan")}, "`twins` is not JSON"),
        ({"relevant": [object()]}, "`twins` is not JSON"),
        ({"relevant": ["image"], "answer": "word"}, '`twins.answer` must be "letter" or "text", found \'word\''),
        ({"relevant": ["image"], "options": 3}, "`twins.options` is not used by the format `multiple_choice_twins`"),
        ({"relevant": ["image"], "perturbations": "ocr_text"}, "must be a list of at most 64 names or objects"),
        ({"relevant": ["image"], "perturbations": ["ocr_text"] * 65}, "must be a list of at most 64 names or objects"),
        ({"relevant": ["image"], "perturbations": [3]}, "`twins.perturbations[0]` must be a name or an object"),
        ({"relevant": ["image"], "perturbations": [{"lines": 3}]}, "must be a name or an object with a name"),
        ({"relevant": ["image"], "perturbations": ["ocr_txt"]}, "Did you mean `ocr_text`? Registered: `black_frames`"),
        (
            {"relevant": ["image", "text"], "perturbations": ["ocr_text"]},
            "`twins.perturbations[0]`: `ocr_text` changes text, which is relevant (`relevant` is image, text)",
        ),
        (
            {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "line": 3}]},
            "`twins.perturbations[0].line` is no known key. Did you mean `lines`?",
        ),
        (
            {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "lines": "3"}]},
            "`twins.perturbations[0].lines` must be a whole number from 1 to 64, found '3'",
        ),
        (
            {"relevant": ["image"], "perturbations": [{"name": "ocr_text", "lines": 10**30}]},
            "from 1 to 64, found 1000",
        ),
        ({"relevant": ["image"], "perturbations": [{"name": "ocr_text", "lines": 10**5000}]}, "is not JSON"),
        ({"relevant": ["text"], "perturbations": ["screenshot_image"]}, "[0].pool` is missing; give a folder"),
        (
            {"relevant": ["image"], "perturbations": [{"name": "misleading_text", "template": "It is a cat."}]},
            "[0].template` must be a text that holds {option}",
        ),
        (
            {"relevant": ["image"], "perturbations": [{"name": "misleading_text", "template": "<image>{option}"}]},
            "and no media placeholder",
        ),
        (
            {"relevant": ["text"], "perturbations": [{"name": "black_image", "size": [10**6, 8]}]},
            "must be a list [width, height] of pixels, each from 1 to 8192",
        ),
    ],
)
def test_refusals_say_what_is_wrong(block: object, message: str):
    with pytest.raises(ModalityInterferenceError) as raised:
        parse(block)

    assert message in str(raised.value)
    assert str(raised.value).startswith("dataset `pets`: ")


def test_deep_nesting_is_refused_cleanly():
    block: object = "x"
    for _ in range(100_000):
        block = [block]

    with pytest.raises(ModalityInterferenceError, match="is not JSON"):
        parse({"relevant": block})


def test_unknown_format_names_the_closest():
    with pytest.raises(ModalityInterferenceError, match="Did you mean `multiple_choice_twins`"):
        parse({"relevant": ["image"]}, "multiple_choice_twin")


def test_keys_of_image_classification():
    block = {"relevant": ["image"], "options": 2, "classes": ["cat", "dog"], "question": "Which pet?"}
    assert parse(block, "image_classification_twins").classes == ("cat", "dog")
    with pytest.raises(ModalityInterferenceError, match='whole number from 2 to 1000, or "all", found 1'):
        parse({"relevant": ["image"], "options": 1}, "image_classification_twins")


@given(JSON_VALUES)
def test_any_block_parses_or_is_refused_cleanly(block: object):
    try:
        parse(block)
    except ModalityInterferenceError as error:
        assert "pets" in str(error)


@given(st.sampled_from(["relevant", "perturbations", "answer"]), JSON_VALUES)
def test_any_value_parses_or_is_refused_cleanly(key: str, value: object):
    try:
        parse({"relevant": ["image"], key: value})
    except ModalityInterferenceError as error:
        assert f"twins.{key}" in str(error) or "twins` is not JSON" in str(error)


@given(st.sampled_from(sorted(perturbations())), st.text(string.ascii_lowercase, min_size=1), JSON_VALUES)
def test_any_parameter_parses_or_is_refused_cleanly(name: str, key: str, value: object):
    try:
        parse({"relevant": "kind", "perturbations": [{"name": name, key: value}]})
    except ModalityInterferenceError as error:
        assert "twins.perturbations[0]" in str(error)


@given(
    st.lists(st.sampled_from(list(Modality)), min_size=1, unique=True), st.lists(st.sampled_from(TEXT_PERTURBATIONS))
)
def test_a_perturbation_is_accepted_exactly_when_its_modality_is_irrelevant(relevant: list, names: list):
    block = json.loads(json.dumps({"relevant": relevant, "perturbations": names}))
    if names and Modality.TEXT in relevant:
        with pytest.raises(ModalityInterferenceError, match="which is relevant"):
            parse(block)
    else:
        labels = [item.label for item in parse(block).perturbations]
        assert len(set(labels)) == len(labels) == len(names)


@given(st.sets(st.sampled_from(list(Modality)), min_size=1), st.sampled_from(["+", ",", " + ", ", "]))
def test_relevant_cells(modalities: set, joint: str):
    names = [modality.value for modality in modalities]
    assert read_relevant(names) == read_relevant(joint.join(names)) == read_relevant(joint.join(names).upper())
    assert read_relevant(names) == modalities


@pytest.mark.parametrize("value", ["", None, [], "image+smell", "image+", 3, [None], [["image"]], {"image": 1}])
def test_bad_relevant_cells(value: object):
    with pytest.raises(ValueError, match="allowed: "):
        read_relevant(value)


@pytest.mark.parametrize("name", ["ocr_text", "clean", "Upper", "", "with space", "1st"])
def test_a_name_cannot_be_registered_twice_or_malformed(name: str):
    with pytest.raises(ModalityInterferenceError, match="registered"):
        register_perturbation(name, changes=Modality.TEXT)


def test_a_format_cannot_be_registered_twice():
    assert FORMAT in formats()
    with pytest.raises(ModalityInterferenceError, match="registered already"):
        register_format(FORMAT, columns=())


class TestCounterfactuals:
    def test_labels_of_their_own(self):
        twice = ["black_image", {"name": "irrelevant_image", "pool": "p"}, "black_image"]
        spec = parse({"relevant": ["image"], "perturbations": ["ocr_text"], "counterfactuals": twice})
        assert [item.label for item in spec.perturbations] == ["ocr_text"]
        labels = ["counterfactual_black_image", "counterfactual_irrelevant_image", "counterfactual_black_image_2"]
        assert [item.label for item in spec.counterfactuals] == labels
        assert parse({"relevant": "kind", "counterfactuals": twice}).counterfactuals == spec.counterfactuals

    def test_no_perturbation_has_such_a_name(self):
        with pytest.raises(ModalityInterferenceError, match="what begins with `counterfactual_`"):
            register_perturbation("counterfactual_x", changes=Modality.TEXT)(lambda a, b, c, d: None)

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            ({"relevant": ["text"], "counterfactuals": ["black_image"]}, "the answers do not depend on that"),
            ({"relevant": ["image"], "counterfactuals": ["typographic_image"]}, "takes nothing away"),
            ({"relevant": ["text"], "counterfactuals": ["misleading_text"]}, "takes nothing away"),
            ({"relevant": ["image"], "counterfactuals": "black_image"}, "`twins.counterfactuals` must be a list"),
            ({"relevant": ["image"], "counterfactuals": ["blak_image"]}, "Did you mean `black_image`?"),
            ({"relevant": ["image"], "perturbations": ["black_image"]}, "belongs into `counterfactuals`"),
        ],
    )
    def test_what_is_refused(self, block, message):
        with pytest.raises(ModalityInterferenceError, match=message):
            parse(block)

    @pytest.mark.parametrize(
        ("block", "message"),
        [
            ({"ask_about": "video", "counterfactuals": ["silence"]}, '`ask_about` is "video"'),
            ({"drop_asked_modality": True, "counterfactuals": ["silence"]}, "already"),
        ],
    )
    def test_of_clips(self, block, message):
        with pytest.raises(ModalityInterferenceError, match=message):
            parse(block, "audio_visual_twins")
