"""What arXiv 2511.22826 calls the questions about a clip, and the conditions under which they are asked."""

import re

from ..modality import CLEAN, Modality


PROMPTS: dict[str, str] = {Modality.VIDEO: "visual", Modality.AUDIO: "audio"}  # by the kind of the rows
ALIGNED = "aligned"
REMOVED = "asked sense removed"
_TITLES = {  # in the order in which they stand
    CLEAN: ALIGNED,
    "swapped_video": "misaligned",
    "swapped_audio": "misaligned",
    "black_frames": "other sense removed",
    "silence": "other sense removed",
    "misleading_caption": "misleading caption",
    "long_context": "long context",
}
_NUMBERED = re.compile(r"(.+?)_(\d+)")  # the label of a perturbation that is not the first of its name


def condition_title(perturbation: str, removed: bool = False) -> str:
    """The paper's name of a condition; the perturbation's own label where it is none of the paper's.

    Args:
        perturbation: its label.
        removed: whether the sense that is asked for was taken away from the rows.
    """
    numbered = _NUMBERED.fullmatch(perturbation)
    if perturbation not in _TITLES and numbered and numbered[1] in _TITLES:
        title = f"{_TITLES[numbered[1]]} {numbered[2]}"
    else:
        title = _TITLES.get(perturbation, perturbation)

    if not removed:
        return title

    return REMOVED if perturbation == CLEAN else f"{title}, {REMOVED}"


def place(title: str) -> int:
    """Where a condition stands among others: the paper's in its order, then all others."""
    order = list(dict.fromkeys(_TITLES.values()))
    return order.index(title) if title in order else len(order)
