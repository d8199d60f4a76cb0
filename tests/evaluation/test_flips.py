"""The gallery of flips of clips: rows tokenized by the real data path, answers as if every twin had flipped them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.av_data import write_clips
from helpers.clip_files import write_corrupt
from helpers.loading import Loaded, load_data
from helpers.runs import recipe

from modality_interference.batching.tokens import closing_tokens, modality_tokens
from modality_interference.evaluation.flips import Gallery
from modality_interference.modality import CLEAN
from modality_interference.results import Flip, ScoredRow


CHANGED = {  # what a twin shows beside its clean row, and whose file: the column, or what the caption says
    "swapped_audio": ("audio", "{swapped}.wav (another row's), "),
    "swapped_video": ("video", "{swapped}.mp4 (another row's), "),
    "silence": ("audio", "silence, "),
    "black_frames": ("video", "black frames, "),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("gallery") / "data")


@pytest.fixture(scope="module")
def loaded(folder: Path, checkpoint: Callable[[str], Path]) -> Loaded:
    keys = recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", folder, folder.parent / "out", dataset="clips")
    return load_data(keys | {"cutoff_len": 4096})


def flips(loaded: Loaded) -> list[Flip]:
    rows = [
        ScoredRow(
            dataset=example["dataset"], row=example["row"], key=example["key"], kind="video", perturbation=name,
            correct=name == CLEAN, answer=name, flipped=None if name == CLEAN else True,
        )
        for example in loaded.train
        for name in (CLEAN, *(twin["perturbation"] for twin in example["variants"]))
    ]  # fmt: skip
    tokens = modality_tokens(loaded.tokenizer, loaded.processor, loaded.template)
    closing = closing_tokens(loaded.tokenizer, loaded.template)
    return Gallery(loaded.tokenizer, tokens, closing=closing).flips(rows, [loaded.train])


def test_shows_the_clip_and_what_took_its_place(loaded):
    found = flips(loaded)
    assert {flip.perturbation for flip in found} == {*CHANGED, "misleading_caption", "long_context"}
    for flip in found:
        clip = flip.row // 2  # two questions about each
        assert [shown.modality for shown in flip.clips] == ["video", "audio"]
        assert flip.clips[0].caption == f"{clip}.mp4, {1 + 0.25 * clip:.1f} s, 64 × 64"
        assert flip.clips[1].caption == f"{clip}.wav, {1 + 0.25 * clip:.1f} s"
        kind, caption = CHANGED.get(flip.perturbation, ("", ""))
        assert [shown.modality for shown in flip.perturbed_clips] == ([kind] if kind else [])
        for shown in flip.perturbed_clips:
            assert shown.caption.startswith(caption.format(swapped=(clip + 1) % 4))

    images = [shown.uri for flip in found for shown in (*flip.clips, *flip.perturbed_clips)]
    assert all(uri.startswith("data:image/") and len(uri) < 12_000 for uri in images)


def test_a_swapped_clip_looks_as_it_does_in_its_own_row(loaded):
    found = flips(loaded)
    own = {(shown.modality, flip.row // 2): shown.uri for flip in found for shown in flip.clips}
    swapped = [flip for flip in found if flip.perturbation in ("swapped_audio", "swapped_video")]
    assert len({*own.values()}) == 8 and len(swapped) >= 4
    for flip in swapped:
        (shown,) = flip.perturbed_clips
        assert shown.uri == own[shown.modality, (flip.row // 2 + 1) % 4]


def test_a_clip_that_broke_since_is_named(loaded, folder):
    write_corrupt(folder / "0.mp4")
    (folder / "0.wav").unlink()
    (first, *_) = (flip for flip in flips(loaded) if flip.row < 2)
    assert [(shown.caption, shown.uri) for shown in first.clips] == [
        ("0.mp4: cannot be shown, broken video: Invalid data found when processing input", ""),
        ("0.wav: cannot be shown, missing file", ""),
    ]


def test_quotes_the_question_alone(loaded):
    """Neither the system prompt nor the words that the template writes around a turn."""
    rule = "Answer with the text of the right option."
    for flip in flips(loaded):
        for prompt in (flip.prompt, flip.perturbed_prompt):
            assert re.fullmatch(
                rf"(<video>|<audio>)+(Video_caption: .*\n)?Question:\n.*\nOption:\n(.*\n){{4}}{rule}[a-z\s]*", prompt
            )
