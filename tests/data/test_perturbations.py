"""What each perturbation does to a row, and what it must leave alone."""

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.data.dataset import RawDataset, RowContext
from modality_interference.data.perturbations.claims import fill
from modality_interference.data.perturbations.text import SENTENCES
from modality_interference.data.registry import perturbations
from modality_interference.data.sample import Sample, no_media
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import MEDIA, Modality


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


ROW = Sample(
    prompt=[user("<image>\nWhich pet?")],
    response=[assistant("B")],
    media=no_media() | {Modality.IMAGE: ("row:0",)},
    choices=("dog", "cat", "owl"),
    answer=1,
    distractors=("Dogs bark.", "Owls fly."),
)
TEXT_ONLY = Sample(prompt=[user("Which pet barks?")], response=[assistant("dog")])
SEVERAL_TURNS = replace(ROW, prompt=[user("<image>Look."), assistant("I do."), user("Which pet?")])


def apply(
    name: str, row: Sample = ROW, *, seed: int = 0, dataset: RawDataset | None = None, **parameters: object
) -> Sample | None:
    registered = perturbations()[name]
    dataset = dataset or RawDataset("pets", "multiple_choice_twins", TwinsSpec(relevant="kind"), {})
    context = RowContext(dataset, 0, {modality: [] for modality in MEDIA})
    return registered.function(row, random.Random(seed), context, registered.parameters(**parameters))


def last(row: Sample | None) -> str:
    assert row is not None
    return row.prompt[-1]["content"]


TEXT = [name for name, item in perturbations().items() if item.changes is Modality.TEXT and not item.removes_evidence]
CANVASES = {"black_image": "black", "white_image": "white", "random_pixels": "noise"}


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("row", [ROW, SEVERAL_TURNS])
def test_text_perturbations_change_the_last_question_only(name: str, row: Sample):
    twin = apply(name, row)
    assert twin is not None
    assert replace(twin, prompt=row.prompt, target=None, family=None) == row
    assert twin.prompt[:-1] == row.prompt[:-1]
    assert last(twin) != last(row)
    assert "Which pet?" in last(twin)
    assert last(twin).startswith("<image>\n") is last(row).startswith("<image>\n")
    twin.check_placeholders()


@pytest.mark.parametrize("name", sorted(perturbations()))
def test_the_same_draw_gives_the_same_twin(name: str):
    if name not in ("irrelevant_image", "screenshot_image"):
        assert apply(name, seed=3) == apply(name, seed=3)


def test_unrelated_text():
    twin = apply("unrelated_text", sentences=3)
    distractor = last(twin).removeprefix("<image>\n").removesuffix("\nWhich pet?")
    assert sum(sentence in distractor for sentence in SENTENCES) == 3
    assert apply("unrelated_text", seed=1) != apply("unrelated_text", seed=2)


@given(st.integers())
def test_misleading_text_plants_a_wrong_option(seed: int):
    twin = apply("misleading_text", seed=seed)
    assert twin is not None
    assert twin.target in ("dog", "owl")
    article = "an" if twin.target == "owl" else "a"
    assert last(twin) == f"<image>\nThis picture seems to depict {article} {twin.target}.\nWhich pet?"


def test_an_option_that_says_the_same_is_not_wrong():
    assert apply("misleading_text", replace(ROW, choices=("Cat ", "cat"), answer=1)) is None


def test_misleading_caption():
    twin = apply("misleading_caption")
    assert twin is not None
    assert last(twin) == f"<image>\nVideo_caption: {twin.target}.\nWhich pet?"


@pytest.mark.parametrize("name", ["misleading_text", "misleading_caption", "given_text"])
def test_rows_without_options_or_distractors_get_no_twin(name: str):
    assert apply(name, TEXT_ONLY) is None


def test_given_text():
    found = {last(apply("given_text", seed=seed)).split("\n")[1] for seed in range(20)}
    assert found == set(ROW.distractors)


def test_ocr_text():
    assert len(last(apply("ocr_text", TEXT_ONLY, lines=4)).splitlines()) == 5


@pytest.mark.parametrize("tokens", [1, 10_000])
def test_long_context_comes_after_the_question(tokens: int):
    question, letters = last(apply("long_context", TEXT_ONLY, tokens=tokens)).split("\n")
    assert question == "Which pet barks?"
    assert re.fullmatch(rf"[a-z]( [a-z]){{{tokens - 1}}}", letters)


@pytest.mark.parametrize(("name", "kind"), CANVASES.items())
def test_canvases_replace_every_image(name: str, kind: str):
    row = replace(
        ROW, prompt=[user("<image><image>Which pet?")], media=no_media() | {Modality.IMAGE: ("row:0", "row:1")}
    )
    twin = apply(name, row)
    assert twin is not None
    assert replace(twin, media=row.media) == row
    for index, reference in enumerate(twin.media[Modality.IMAGE]):
        assert re.fullmatch(rf"canvas:{kind}:\d+:row:{index}", reference)


@pytest.mark.parametrize(("name", "kind"), CANVASES.items())
def test_canvases_are_added_to_text_only_rows(name: str, kind: str):
    row = replace(TEXT_ONLY, prompt=[user("Hello."), assistant("Hi."), user("Which pet barks?")])
    twin = apply(name, row, size=(28, 14))
    assert twin is not None
    assert [message["content"] for message in twin.prompt] == ["<image>Hello.", "Hi.", "Which pet barks?"]
    assert re.fullmatch(rf"canvas:{kind}:\d+:28x14", twin.media[Modality.IMAGE][0])
    assert ":336x336" in apply(name, row).media[Modality.IMAGE][0]
    twin.check_placeholders()


def test_typographic_image_is_written_on_one_image_or_on_a_canvas():
    twins = [apply("typographic_image", seed=seed) for seed in range(10)]
    for twin in twins:
        (reference,) = twin.media[Modality.IMAGE]
        assert re.fullmatch(rf"text:\d+:{twin.target}:row:0", reference)
        assert replace(twin, media=ROW.media, target=None) == ROW

    assert {twin.target for twin in twins} == {"dog", "owl"}
    two = no_media() | {Modality.IMAGE: ("row:0", "row:1")}
    row = replace(ROW, prompt=[user("<image><image>Which pet?")], media=two)
    found = {
        tuple(":" in name[4:] for name in apply("typographic_image", row, seed=seed).media[Modality.IMAGE])
        for seed in range(20)
    }
    assert found == {(True, False), (False, True)}  # on one of them
    text = replace(TEXT_ONLY, choices=("dog", "Müller & co"), answer=0)
    twin = apply("typographic_image", text, size=(56, 28))
    assert re.fullmatch(r"text:\d+:M%C3%BCller%20%26%20co:56x28", twin.media[Modality.IMAGE][0])
    assert last(twin) == "<image>Which pet barks?"
    twin.check_placeholders()


def other_rows(rows: list[dict], **settings: object) -> RawDataset:
    spec = TwinsSpec(relevant="kind")
    return RawDataset("pets", "multiple_choice_twins", spec, {"images": "image"}, other_rows=rows, **settings)


CLIP = replace(
    TEXT_ONLY,
    prompt=[user("<video><audio>What happens?")],
    media=no_media() | {Modality.VIDEO: ("row:0",), Modality.AUDIO: ("row:0",)},
)


@pytest.mark.parametrize(
    ("name", "changed", "reference"),
    [
        ("shuffled_frames", Modality.VIDEO, r"shuffled:\d+:row:0"),
        ("frozen_frames", Modality.VIDEO, "frozen:50:row:0"),
        ("shifted_audio", Modality.AUDIO, "shifted:-?2000:row:0"),
    ],
)
def test_clips_are_edited_by_reference(name: str, changed: Modality, reference: str):
    twin = apply(name, CLIP)
    assert twin is not None and replace(twin, media=CLIP.media) == CLIP
    assert re.fullmatch(reference, twin.media[changed][0])
    assert {key: media for key, media in twin.media.items() if key is not changed} == {
        key: media for key, media in CLIP.media.items() if key is not changed
    }
    assert apply(name, CLIP.with_removed(changed)) is None  # black frames have no order, silence no time
    assert apply(name, TEXT_ONLY) is None


def test_audio_is_shifted_either_way_by_what_is_asked():
    found = {apply("shifted_audio", CLIP, seed=seed, seconds=0.25).media[Modality.AUDIO][0] for seed in range(20)}
    assert found == {"shifted:250:row:0", "shifted:-250:row:0"}


def test_irrelevant_image_borrows_from_another_row():
    dataset = other_rows([{"image": "own.png"}, {"image": None}, {"image": ["a.png", "b.png"]}])
    context = RowContext(dataset, 0, {Modality.IMAGE: ["own.png"]})
    item = perturbations()["irrelevant_image"]
    twins = [item.function(ROW, random.Random(seed), context, item.parameters()) for seed in range(30)]
    assert {twin.media[Modality.IMAGE] for twin in twins} == {("extra:0",), ("extra:1",)}
    assert set(context.borrowed[Modality.IMAGE]) == {"a.png", "b.png"}


@pytest.mark.parametrize("rows", [[], [{"image": "own.png"}], [{"image": "own.png"}] * 3, [{"image": None}] * 3])
def test_irrelevant_image_does_not_apply_where_no_other_row_has_another_image(rows: list[dict]):
    context = RowContext(other_rows(rows), 0, {Modality.IMAGE: ["own.png"]})
    item = perturbations()["irrelevant_image"]
    assert item.function(ROW, random.Random(0), context, item.parameters()) is None


@pytest.mark.parametrize("name", ["irrelevant_image", "screenshot_image"])
def test_images_from_a_pool(tmp_path, name: str):
    (tmp_path / "pool").mkdir()
    for file in ("a.png", "b.png"):
        (tmp_path / "pool" / file).touch()

    dataset = other_rows([], dataset_dir=str(tmp_path))
    for row in (ROW, TEXT_ONLY):
        found = {apply(name, row, seed=seed, dataset=dataset, pool="pool").media[Modality.IMAGE] for seed in range(20)}
        assert found == {(f"file:{tmp_path}/pool/a.png",), (f"file:{tmp_path}/pool/b.png",)}


def test_streaming_needs_a_pool():
    dataset = other_rows([])
    dataset.other_rows = None
    with pytest.raises(ModalityInterferenceError, match="streaming has no random access. Give a pool folder"):
        perturbations()["irrelevant_image"].parameters().check(dataset)


def test_rows_without_a_user_message_get_no_twin():
    row = replace(ROW, prompt=[{"role": "observation", "content": "42"}], media=no_media())
    for name in (*TEXT, *CANVASES):
        assert apply(name, row) is None


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("dog", "It is a dog."),
        ("owl", "It is an owl."),
        ("Airplane", "It is an Airplane."),
        ("unicorn", "It is a unicorn."),
        ("umbrella", "It is an umbrella."),
        ("hourglass", "It is an hourglass."),
        ("house", "It is a house."),
        ("8", "It is an 8."),
        ("7", "It is a 7."),
        ("11", "It is an 11."),
        ("110", "It is a 110."),
        ("an owl", "It is an owl."),
        ("The sea.", "It is The sea."),
        ("{option}", "It is a {option}."),
        (r"\1", r"It is a \1."),
    ],
)
def test_articles(option: str, sentence: str):
    assert fill("It is a {option}.", option) == sentence


def test_other_braces_of_a_template_are_left_alone():
    assert fill("{0} {x.__class__} says {option}", "owl") == "{0} {x.__class__} says owl"


HINT = re.compile(
    r"\d|\b(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|first|second|third|once|twice"
    r"|pictures?|images?|photos?|videos?|audio|sounds?|options?|answers?|questions?|choices?|correct|wrong|letters?"
    r"|digits?|numbers?|depicts?)\b",
    re.IGNORECASE,
)


def test_sentences_are_many_and_never_hint():
    assert len(set(SENTENCES)) == len(SENTENCES) >= 150
    assert [sentence for sentence in SENTENCES if HINT.search(sentence)] == []
    assert all(sentence == sentence.strip() and len(sentence) < 120 for sentence in SENTENCES)


@pytest.mark.parametrize("name", ["misleading_text", "typographic_image", "misleading_caption"])
def test_an_option_that_is_the_right_ones_letter_is_not_claimed(name: str):
    """The twin would state the response."""
    row = replace(ROW, response=[assistant("A")], choices=("C", "A", "B", "D"), answer=0)
    row = replace(row, prompt=[user("Which letter?")], media=no_media()) if name == "typographic_image" else row
    targets = {twin.target for seed in range(30) if (twin := apply(name, row, seed=seed)) is not None}
    assert targets == {"B", "D"}
