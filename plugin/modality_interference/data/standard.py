"""`standard` among the `perturbations` of a `twins` block, or in their place: a set that fits the rows and what is relevant."""

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ..errors import ModalityInterferenceError
from ..modality import MEDIA, Modality
from .registry import Format


STANDARD = "standard"
WrittenPerturbation: TypeAlias = str | Mapping[str, Any]
# The other five families are left for diagnosis, as texts that were never trained on.
FAMILIES = ("statement", "dialogue", "headline", "note", "metadata", "table_row", "code_comment")
# What the set is stands here alone, by what is changed: the texts of arXiv 2505.19616 in the words of many families, as what is
# learned from one carries over to others in part only (docs/evidence.md); two of its images, and the clips of arXiv 2511.22826.
STANDARD_SET: Mapping[Modality, tuple[WrittenPerturbation, ...]] = MappingProxyType(
    {
        Modality.TEXT: tuple({"name": name, "families": FAMILIES} for name in ("misleading_text", "unrelated_text")),
        Modality.IMAGE: ("irrelevant_image", "random_pixels"),
        Modality.VIDEO: ("swapped_video",),
        Modality.AUDIO: ("swapped_audio",),
    }
)
_BESIDE_TEXT = ("random_pixels",)  # of images, what rows without media can get


def written_out(
    key: str, block: Mapping[str, Any], layout: Format, columns: Collection[str], where: str
) -> list[tuple[int, Any]] | None:
    """The items under a key with their places in it; of `perturbations`, the set's in place of its name.

    Args:
        key: `perturbations` or `counterfactuals`.
        block: of the dataset; its keys need not be right.
        layout: the dataset's format.
        columns: keys that its `columns` name: media that no row can have are not changed.
        where: begins the message, up to the key.

    Returns:
        None where it is no list.

    Raises:
        ModalityInterferenceError: the set is named, and nothing is irrelevant of what the rows have.
    """
    items, may_name = block.get(key, []), key == "perturbations"
    items = [items] if may_name and items == STANDARD else items
    if not isinstance(items, (list, tuple)):
        return None

    named = may_name and STANDARD in items
    standard = _standard_perturbations(block, layout, columns, where) if named else [STANDARD]
    return [(index, one) for index, item in enumerate(items) for one in (standard if item == STANDARD else [item])]


def _standard_perturbations(
    block: Mapping[str, Any], layout: Format, columns: Collection[str], where: str
) -> list[WrittenPerturbation]:
    """The perturbations that `standard` stands for.

    Args:
        block: of the dataset; its `relevant` or `ask_about` need not be right.
        layout: the dataset's format.
        columns: keys that its `columns` name: media that no row can have are not changed.
        where: begins the message, up to the key.

    Raises:
        ModalityInterferenceError: nothing is irrelevant of what the rows have.
    """
    names = list(_fitting(block, layout, columns))
    if names:
        return names

    raise ModalityInterferenceError(
        f'{where}.perturbations` has "{STANDARD}", and nothing of what the rows have is irrelevant, so that nothing may change. Write '
        "[] for rows without twins, correct `relevant`, or name the columns of the media (`images`, `videos`, `audios`)."
    )


def _fitting(block: Mapping[str, Any], layout: Format, columns: Collection[str]) -> Iterator[WrittenPerturbation]:
    relevant = _always_relevant(block, layout)
    media = [modality for modality, column in MEDIA.items() if column in columns]
    if layout.asks_per_modality:
        media = [Modality.VIDEO, Modality.AUDIO]

    for modality, names in STANDARD_SET.items():
        if modality in relevant:
            continue

        if modality is Modality.TEXT or modality in media:
            yield from names
        elif modality is Modality.IMAGE and not media:
            yield from _BESIDE_TEXT


def _always_relevant(block: Mapping[str, Any], layout: Format) -> Collection[Any]:
    """What is relevant in every row; where a column says it, or each modality is asked about in turn, nothing is."""
    found = block.get("relevant", ())
    if layout.asks_per_modality:
        asked = block.get("ask_about", "both")
        found = () if asked == "both" else (asked,)

    return found if isinstance(found, (list, tuple)) else ()
