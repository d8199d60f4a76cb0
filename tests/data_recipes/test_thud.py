"""The recipe for THUD's probes: every step of its card, on clips that the test draws, up to what a run would hear."""

import json
import re
import shlex
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.clip_files import CLASSES, heard_class, read_audio, write_labelled
from helpers.loading import load_data
from helpers.runs import recipe
from llamafactory.data.mm_plugin import get_mm_plugin

from modality_interference.batching.media_reader import MediaReader
from modality_interference.cli import main
from modality_interference.dataset_dir.card import card_problems
from modality_interference.media.reference import find_medium
from modality_interference.modality import Modality


RECIPE = Path(__file__).parents[2] / "data_recipes" / "thud"
NAMES = sorted(CLASSES)[:2]
PROBES = {"thud_mute": "silence", "thud_swap": "swapped_audio", "thud_shift": "shifted_audio"}
RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the recipe, after the steps of its card."""
    home = tmp_path_factory.mktemp("thud")
    copied = Path(shutil.copytree(RECIPE, home / "data_recipes" / "thud"))
    write_labelled(home / "raw", NAMES, per_class=1, seconds=3)
    card = (copied / "README.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```bash\n(.*?)```", card, flags=re.DOTALL)
    for line in filter(str.strip, commands.splitlines()):
        words = shlex.split(re.sub(r"\[.*?\]", "", line))[1:]
        words = [str(home / word) if word.startswith(("raw", "data_recipes")) else word for word in words]
        short = ["--size", "64", "--seconds", "3", "--workers", "1"] if "prepare" in words else []
        assert main([*words, *short]) == 0

    (lines,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copied)
        exec(compile(textwrap.dedent(lines), "card", "exec"), {})

    return copied


@pytest.fixture(scope="module")
def rows(
    folder: Path, checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """The tokenized rows of each probe."""
    keys = dict(dataset=None, eval_dataset=",".join(PROBES), do_train=False, do_eval=True, cutoff_len=100_000)
    keys |= {"media_dir": None}
    loaded = load_data(
        recipe(checkpoint("qwen2_5_omni"), "qwen2_omni", folder, tmp_path_factory.mktemp("out"), **keys)
    )
    return {name: [row for row in loaded.evaluation if row["dataset"] == name] for name in PROBES}


def clips(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "thud_clips.jsonl").read_text().splitlines()]


def heard(row: dict[str, Any], reference: str) -> np.ndarray:
    """The samples behind a reference, as the model gets them."""
    mm_plugin = get_mm_plugin("qwen2_audio", audio_token="<|AUDIO|>")
    medium = find_medium(reference, row["audios"], row["twin_audios"] or [])
    with MediaReader(mm_plugin, 4).installed():
        return mm_plugin._regularize_audios([medium], sampling_rate=RATE)["audios"][0]


def test_every_clip_is_asked_each_question_with_the_change_that_makes_it_wrong(folder, rows):
    for name, counterfactual in PROBES.items():
        assert len(rows[name]) == len(clips(folder)) == 2
        for row in rows[name]:
            assert sorted(row["choices"]) == ["no", "yes"] and row["choices"][row["answer"]] == "yes"
            assert [gone["perturbation"] for gone in row["counterfactuals"]] == [f"counterfactual_{counterfactual}"]

    twins = {name: [twin["perturbation"] for twin in found[0]["variants"]] for name, found in rows.items()}
    assert twins == {
        "thud_mute": ["black_frames", "swapped_video", "unrelated_text"],
        "thud_swap": ["unrelated_text"],
        "thud_shift": ["unrelated_text"],
    }
    both = Modality.VIDEO.bit | Modality.AUDIO.bit
    assert [found[0]["relevant"] for found in rows.values()] == [Modality.AUDIO.bit, both, both]


def test_what_is_heard(folder, rows):
    for name, found in rows.items():
        for row in found:
            clip = clips(folder)[row["row"]]
            ((clean,), (gone,)) = row["audio_references"], row["counterfactuals"][0]["audio_references"]
            own, changed = heard(row, clean), heard(row, gone)
            stored, _ = read_audio(folder / clip["audio"])
            np.testing.assert_allclose(own, stored, atol=1e-6)
            assert changed.shape == own.shape == (3 * RATE,)
            if name == "thud_mute":
                assert not changed.any()
            elif name == "thud_swap":
                assert heard_class(changed, RATE) == clip["swapped_audio_label"] != clip["audio_label"]
            else:
                later, earlier = (np.zeros_like(own) for _ in range(2))
                later[2 * RATE :], earlier[:RATE] = own[:RATE], own[2 * RATE :]
                assert any(np.array_equal(changed, shifted) for shifted in (later, earlier))


def test_mute_is_told_apart_from_what_is_seen(folder, rows):
    row = rows["thud_mute"][0]
    swapped = next(twin for twin in row["variants"] if twin["perturbation"] == "swapped_video")
    assert swapped["video_references"] == ["extra:0:row:0"] and swapped["audio_references"] == ["row:0"]
    assert row["twin_videos"][0].endswith(clips(folder)[row["row"]]["swapped_video"])


def test_check_finds_nothing_once_the_steps_are_done(folder, capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(folder), "--data-recipe"]) == 0, capsys.readouterr().out


def test_check_asks_for_nothing_but_the_files_to_bring(capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(RECIPE), "--data-recipe"]) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    assert len(problems) == 3
    assert all(re.search(r"'thud_(mute|swap|shift)\.jsonl' does not exist", line) for line in problems)


def test_the_card_is_complete():
    assert card_problems(RECIPE) == []
    card = (RECIPE / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in card and f"`{gone}`" in card for name, gone in PROBES.items())
