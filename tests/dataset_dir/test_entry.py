"""What `check` says of an entry for clips: all of its problems at once, none of them about `relevant`, which it has not."""

import json
from pathlib import Path
from typing import Any

import pytest

from modality_interference.data.registry import formats
from modality_interference.dataset_dir.entry import dataset_problems


ENTRY = json.loads((Path(__file__).parents[2] / "data_recipes" / "mma_bench" / "dataset_info.json").read_text())[
    "mma_bench_test"
]


def problems(folder: Path, **twins: Any) -> list[str]:
    """Of the entry with other values in its `twins` block, its file being there."""
    (folder / ENTRY["file_name"]).write_text("{}\n")
    entry = ENTRY | {"twins": {**ENTRY["twins"], "classes": ["cat", "dog"], **twins}}
    return dataset_problems("clips", entry, folder, set(formats()))


def test_a_good_entry(tmp_path: Path):
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("twins", "said"),
    [
        ({"relevant": ["video"]}, "`twins.relevant` is not used by the format `audio_visual_twins`"),
        ({"ask_about": "sight"}, '`twins.ask_about` must be "both", "video" or "audio", found \'sight\''),
        (
            {"ask_about": "audio", "perturbations": ["black_frames", "silence"]},
            "`twins.perturbations[1]`: `silence` changes",
        ),
        ({"perturbations": ["silence", "silent"]}, "`twins.perturbations[1]` names the unknown perturbation 'silent'"),
        ({"classes": ["cat"]}, "`twins.classes` must be a list of at least two class names"),
        ({"drop_asked_modality": "yes"}, "`twins.drop_asked_modality` must be true or false"),
    ],
)
def test_one_problem(tmp_path: Path, twins: dict[str, Any], said: str):
    (found,) = problems(tmp_path, **twins)
    assert said in found


def test_one_problem_does_not_hide_another(tmp_path: Path):
    found = problems(tmp_path, asked="sight", options=1, perturbations=["silent", "black"])
    assert len(found) == 4
    assert all(any(key in problem for problem in found) for key in ("ask_about", "options", "[0]", "[1]"))
