"""Scored rows of a small dataset of clips, for the tests of profiles by prompt."""

from modality_interference.evaluation.rates import dataset_results
from modality_interference.results import DatasetResult, ScoredRow


# clips right out of ten, by condition and prompt
RIGHT = {
    "clean": {"video": 10, "audio": 9},
    "swapped_audio": {"video": 8},
    "swapped_video": {"audio": 2},
    "silence": {"video": 9},
    "black_frames": {"audio": 7},
    "misleading_caption": {"video": 6, "audio": 4},
}
FOLLOWED = {"swapped_audio": 1, "swapped_video": 6}  # of ten; the first of the wrong answers
ABSTAINED = {"video": 3, "audio": 5}


def clip_rows(gain: int = 0) -> list[ScoredRow]:
    """Ten clips, asked what is seen (even rows) and what is heard (odd rows), and the same with that modality removed.

    Args:
        gain: how many more of ten are right where not all are.
    """
    rows = []
    for perturbation, prompts in RIGHT.items():
        for prompt, right in prompts.items():
            rows += [_row(clip, prompt, perturbation, min(10, right + gain)) for clip in range(10)]

    for prompt, right in ABSTAINED.items():
        rows += [_removed(clip, prompt, clip < right + gain) for clip in range(10)]

    return rows


def clip_results(gain: int = 0) -> dict[str, DatasetResult]:
    """What a diagnosis makes of these rows."""
    return dataset_results(clip_rows(gain), seed=0, generated=False)


def _row(clip: int, prompt: str, perturbation: str, right: int) -> ScoredRow:
    fields = _fields(clip, prompt)
    if perturbation == "clean":
        return ScoredRow(dataset="clips", perturbation=perturbation, correct=clip < right, **fields)

    misled = right <= clip < right + FOLLOWED.get(perturbation, 2)
    target = {"misled": misled} if perturbation in (*FOLLOWED, "misleading_caption") else {}
    return ScoredRow(
        dataset="clips", perturbation=perturbation, correct=clip < right, flipped=clip >= right, **fields, **target
    )


def _removed(clip: int, prompt: str, abstained: bool) -> ScoredRow:
    fields = _fields(clip, prompt) | {"dataset": "clips_removed", "perturbation": "clean", "removed": True}
    fields |= {"answer": "cannot tell" if abstained else "a dog", "right": "cannot tell", "abstention": "cannot tell"}
    return ScoredRow(correct=abstained, **fields)


def _fields(clip: int, prompt: str) -> dict:
    row = 2 * clip + (prompt == "audio")
    return {"row": row, "clip": clip, "key": row, "kind": prompt, "answer": "a dog"}
