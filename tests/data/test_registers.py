"""Families and positions of text distractors."""

import random
import re
import time

import pytest

from modality_interference.data.perturbations.claims import claim
from modality_interference.data.perturbations.placement import inner_gaps
from modality_interference.data.perturbations.registers import FAMILIES, FAMILY_NAMES, word
from modality_interference.data.perturbations.text import SENTENCES
from modality_interference.data.sample import PLACEHOLDERS
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError

from .test_perturbations import HINT, ROW, TEXT_ONLY, apply, last, user


LANGUAGES = {
    "German": r"\b(?:Die|Der|Brot)\b",
    "French": r"\b(?:La réponse|Il semble|La Seine|En automne)\b",
    "Spanish": r"\b(?:La respuesta|Parece que la|El)\b",
    "Italian": r"\b(?:La risposta|Sembra|Il Po|Le api)\b",
    "Portuguese": r"\b(?:A resposta|Parece que a|O rio|As)\b",
    "Dutch": r"\b(?:Het|De Maas|Bijen)\b",
    "Polish": r"\b(?:Odpowiedź|Wisła)\b",
    "Russian": r"[а-яё]{4}",
    "Chinese": r"^[^ぁ-ん]*[\u4e00-\u9fff][^ぁ-ん]*$",
    "Japanese": r"[ぁ-ん]",
}


def test_families_are_many_with_several_wordings():
    assert len(FAMILIES) == len(FAMILY_NAMES) == 12
    assert set(FAMILIES) == set(FAMILY_NAMES)
    for name, family in FAMILIES.items():
        least = 1 if name == "statement" else 4  # the paper's sentence alone, so that it stays comparable
        assert len(set(family.unrelated)) >= least and len(set(family.misleading)) >= least
        assert all("{text}" in wording or "{option}" in wording for wording in family.misleading)


def test_other_languages():
    for wordings in (FAMILIES["other_language"].unrelated, FAMILIES["other_language"].misleading):
        found = {name for name, mark in LANGUAGES.items() for wording in wordings if re.search(mark, wording)}
        assert found == set(LANGUAGES)
        assert all(any(re.search(mark, wording) for mark in LANGUAGES.values()) for wording in wordings)


def test_words_around_unrelated_texts_never_hint():
    wordings = [wording for family in FAMILIES.values() for wording in family.unrelated]
    assert [wording for wording in wordings if HINT.search(wording.replace("{text}", ""))] == []


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_claims_the_target_readably_and_holds_the_question(family: str):
    seen = set()
    for seed in range(40):
        twin = apply("misleading_text", seed=seed, families=(family,))
        assert twin is not None and twin.family == family
        text = last(twin).removeprefix("<image>\n").removesuffix("\nWhich pet?")
        assert text != last(twin) and twin.target in text
        seen.add(text.replace("owl", "dog").replace(" an ", " a "))

    assert len(seen) >= (1 if family == "statement" else 4)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_holds_the_unrelated_sentence(family: str):
    twin = apply("unrelated_text", TEXT_ONLY, seed=5, families=(family,))
    assert twin.family == family
    if family not in ("other_language", "ocr_noise"):
        assert sum(sentence in last(twin) for sentence in SENTENCES) == 1


def test_several_families_are_all_drawn():
    found = {
        apply("misleading_text", seed=seed, families=("note", "headline", "dialogue")).family for seed in range(30)
    }
    assert found == {"note", "headline", "dialogue"}


def test_default_texts_are_as_before_families_existed():
    """The draws of the target and of the sentences come first, and nothing is drawn where there is no choice."""
    for seed in range(20):
        rng = random.Random(seed)
        target = rng.choice(ROW.wrong_choices)
        assert last(apply("misleading_text", seed=seed)) == f"<image>\n{claim(target)}\nWhich pet?"
        sentence = random.Random(seed).sample(SENTENCES, 1)[0]
        assert last(apply("unrelated_text", seed=seed)) == f"<image>\n{sentence}\nWhich pet?"


def test_ocr_noise_leaves_the_option_readable():
    written = {word("ocr_noise", random.Random(seed), claim("golden eagle"), "golden eagle") for seed in range(30)}
    assert all("golden eagle" in text for text in written) and len(written) > 20


QUESTION = (
    "Question:\nLook at the cat. What does it eat?\nOption:\nA: fish. And milk.\nB: Mr. Smith\nAnswer with the letter."
)


def parts(question: str, choices: tuple[str, ...] = ()) -> list[str]:
    gaps = inner_gaps(question, choices)
    return [question[:gap] for gap in gaps]


def test_inside_is_between_sentences_and_before_the_options():
    before = "Question:\nLook at the cat. "
    assert parts(QUESTION, ("fish. And milk.", "Mr. Smith")) == [before, f"{before}What does it eat?\n"]
    assert parts("Which pet?") == []
    assert parts("Is Mr. Smith at home? Say so.") == ["Is Mr. Smith at home? "]
    assert parts("Which one? Take red, blue.", ("red", "blue")) == ["Which one? "]
    assert parts("哪只？请说。") == ["哪只？"]


def test_inside_never_splits_a_placeholder(monkeypatch: pytest.MonkeyPatch):
    content = f"Look. See {PLACEHOLDERS['image']} here. Which pet?"
    row = ROW.changed(prompt=[user(content)])
    for seed in range(10):
        twin = apply("misleading_text", row, seed=seed, positions=("inside",))
        assert last(twin).count(PLACEHOLDERS["image"]) == 1
        twin.check_placeholders()


@pytest.mark.parametrize("unit", ["a. ", "\n", " ", "<image>. ", "Option:", "?", "Mr. "])
def test_long_questions_take_no_longer_than_their_length(unit: str):
    started = time.process_time()
    inner_gaps(unit * (300_000 // len(unit)) + "x", ("cat", "dog"))
    claim(unit * (300_000 // len(unit)))
    assert time.process_time() - started < 5


def test_positions():
    row = ROW.changed(prompt=[user(f"<image>{QUESTION}")], choices=("fish. And milk.", "Mr. Smith"), answer=0)
    twin = apply("misleading_text", row, positions=("after",))
    assert last(twin).startswith(f"<image>{QUESTION}\n") and twin.target in last(twin)[len(QUESTION) :]
    inside = {last(apply("misleading_text", row, seed=seed, positions=("inside",))) for seed in range(10)}
    assert len(inside) == 2
    for content in inside:
        assert content.startswith("<image>Question:\nLook at the cat. ") and content.endswith(
            QUESTION[QUESTION.index("Option:") :]
        )
        assert "\n\n" not in content

    assert apply("misleading_text", positions=("inside",)) is None  # one sentence, no list of options
    both = {last(apply("misleading_text", seed=seed, positions=("inside", "after"))) for seed in range(10)}
    assert all(content.startswith("<image>\nWhich pet?\n") for content in both)


@pytest.mark.parametrize(
    ("entries", "labels"),
    [
        (["misleading_text", "misleading_text"], ["misleading_text", "misleading_text_2"]),
        (
            [{"families": ["quotation"]}, {"families": ["dialogue"]}, {"positions": ["after"]}, {}],
            ["_quotation", "_dialogue", "_after", ""],
        ),
        (
            [{"families": ["note", "headline"], "positions": ["inside"]}, {"families": list(FAMILY_NAMES)}],
            ["_note_headline_inside", "_12_families"],
        ),
        ([{"template": "{option}!"}, {"template": "{option}?"}], ["", "_2"]),
    ],
)
def test_labels_name_families_and_positions(entries: list, labels: list[str]):
    items = [entry if isinstance(entry, str) else {"name": "misleading_text", **entry} for entry in entries]
    spec = TwinsSpec.parse({"relevant": ["image"], "perturbations": items}, "pets", "multiple_choice_twins")
    assert [item.label.removeprefix("misleading_text") for item in spec.perturbations] == [
        label.removeprefix("misleading_text") for label in labels
    ]


@pytest.mark.parametrize(
    "entry",
    [{"families": ["poem"]}, {"families": []}, {"families": ["note", "note"]}, {"positions": ["above"]}],
)
def test_unknown_families_and_positions_are_refused(entry: dict):
    block = {"relevant": ["image"], "perturbations": [{"name": "unrelated_text", **entry}]}
    with pytest.raises(ModalityInterferenceError, match="a list of different"):
        TwinsSpec.parse(block, "pets", "multiple_choice_twins")
