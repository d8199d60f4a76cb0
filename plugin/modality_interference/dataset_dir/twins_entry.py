"""Make an entry with twins of recognised columns, or of an entry that LLaMA-Factory reads without the plugin."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..data import formats as _formats  # noqa: F401  (registers what entries name)
from ..data import perturbations as _perturbations  # noqa: F401
from ..data.registry import formats, perturbations
from ..data.standard import STANDARD
from ..errors import ModalityInterferenceError
from ..messages import listed, suggestion
from ..modality import MEDIA, Modality
from .recognition import Recognised


_TURNED_AROUND = {MEDIA[modality]: modality for modality in MEDIA}
# By what they change; the first image needs images of other rows.
_DEFAULTS = {
    Modality.IMAGE: ("irrelevant_image", "typographic_image", "black_image", "random_pixels"),
    Modality.VIDEO: ("black_frames",),
    Modality.AUDIO: ("silence",),
}


def twins_of(
    recognised: Recognised, relevant: Sequence[Modality] | None, names: Sequence[str] | None, to_train: bool = False
) -> dict[str, Any]:
    """The keys `formatting`, `columns`, `tags` and `twins` of an entry.

    Args:
        recognised: what the file is.
        relevant: what the answers depend on; None where only one modality can be meant.
        names: the perturbations; None for those that fit.
        to_train: take the standard set in place of those that fit, where it has them all.

    Raises:
        ModalityInterferenceError: what is relevant is not clear, or nothing else can be perturbed.
    """
    relevant = guessed_relevant(recognised) if relevant is None else tuple(relevant)
    chosen: list[str] | str = fitting_perturbations(recognised, relevant) if names is None else checked(names)
    if to_train and names is None and "given_text" not in chosen:
        chosen = STANDARD

    block = {"relevant": [modality.value for modality in relevant], "perturbations": chosen}
    entry: dict[str, Any] = {"formatting": recognised.formatting, "columns": recognised.columns}
    if recognised.tags:
        entry["tags"] = recognised.tags

    return {**entry, "twins": block}


def guessed_relevant(recognised: Recognised) -> tuple[Modality, ...]:
    """What answers depend on, where only one modality can be meant.

    Raises:
        ModalityInterferenceError: there are several.
    """
    if recognised.formatting == "image_classification_twins":
        return (Modality.IMAGE,)

    if not recognised.media:
        return (Modality.TEXT,)

    first = recognised.media[0]
    raise ModalityInterferenceError(
        f"the rows have text and {' and '.join(recognised.media)}; say what their answers depend on: `--relevant {first}` where the "
        f"{first} decides, `--relevant text` where the question alone does, `--relevant text,{first}` where both do."
    )


def fitting_perturbations(recognised: Recognised, relevant: Collection[Modality]) -> list[str]:
    """The perturbations that a diagnosis takes by default: of what is irrelevant, those that the rows allow.

    Raises:
        ModalityInterferenceError: nothing is irrelevant.
    """
    found: list[str] = []
    if Modality.TEXT not in relevant:
        found += ["misleading_text", "unrelated_text"]
        found += ["given_text"] * ("distractors" in recognised.columns)

    for modality, names in _DEFAULTS.items():
        if modality in relevant:
            continue

        if modality in recognised.media:
            found += names
        elif modality is Modality.IMAGE and not recognised.media:  # a text alone can get an image
            found += names[1:]

    if not found:
        raise ModalityInterferenceError(
            f"with `--relevant {','.join(relevant)}` the answers depend on all that the rows have, and nothing can be changed "
            "that should not matter. Name only what decides, or perturbations by `--perturb`."
        )

    return found


def checked(names: Sequence[str]) -> list[str]:
    """Names of perturbations.

    Raises:
        ModalityInterferenceError: one is not known.
    """
    known = perturbations()
    for name in names:
        if name not in known:
            raise ModalityInterferenceError(
                f"`--perturb {name}` is no perturbation.{suggestion(name, known)} There are: {listed(sorted(known))}."
            )

    return list(names)


def as_twins(name: str, entry: Mapping[str, Any], columns: Collection[str]) -> Recognised:
    """What an entry says of its data, whose format is LLaMA-Factory's own or one of twins.

    Args:
        name: of the dataset.
        entry: without problems.
        columns: those that the data has.

    Raises:
        ModalityInterferenceError: no twins can be made of its format.
    """
    formatting, known = entry.get("formatting", "alpaca"), formats()
    layout = known.get(formatting) or next((one for one in known.values() if one.base == formatting), None)
    if layout is None or (layout.asks_per_modality and "twins" not in entry) or entry.get("ranking"):
        kind = "pairs for preference tuning" if entry.get("ranking") else f"`formatting: {formatting}`"
        raise ModalityInterferenceError(
            f"dataset `{name}`: of {kind} `diagnose` makes no twins. It reads `alpaca`, `sharegpt`, `openai`, and entries with a "
            "`twins` block as they are."
        )

    named = entry.get("columns") or {key: column for key, column in layout.defaults.items() if column in columns}
    kept = {key: column for key, column in named.items() if key in (*layout.columns, *layout.optional) and column}
    media = tuple(_TURNED_AROUND[key] for key in MEDIA.values() if key in kept)
    return Recognised(layout.name, kept, dict(entry.get("tags") or {}), media=media)
