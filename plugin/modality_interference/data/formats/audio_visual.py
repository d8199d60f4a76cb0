"""The format of labelled clips: one visual and one audio question per clip (arXiv 2511.22826)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Unusable
from ...media.image import removed_reference
from ...modality import Modality
from ..dataset import TRIES, Source
from ..options import CANNOT_TELL, MAX_OPTIONS
from ..registry import register_format
from ..sample import Partner, Reading
from .choice import ask_options, check_classes, classes_of, find_class, with_media


if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

ASKED = "_asked"  # the column that says which modality the row's question is about
CLIP = "_clip"  # the column with the index of the row that the dataset itself has


def ask_each(dataset: "Dataset | IterableDataset", senses: Sequence[Modality], **options: Any) -> Any:
    """Repeat every row, once for each modality that it is asked about.

    Args:
        dataset: the raw rows.
        senses: the modalities, in the order of the questions.
        options: further arguments of `dataset.map`.
    """
    from datasets import Features, Value  # here: formats are read without it

    known = dataset.features
    features = Features({**known, ASKED: Value("string"), CLIP: Value("int64")}) if known is not None else None
    question = _Questions(tuple(sense.value for sense in senses))
    return dataset.map(question, batched=True, with_indices=True, features=features, **options)


def clip_row(example: Mapping[str, Any]) -> dict[str, int]:
    """`{"clip": index}` of the row that a question is about, for `_twins`; nothing where rows are asked one question."""
    return {"clip": example[CLIP]} if CLIP in example else {}


@dataclass(frozen=True)
class _Questions:
    senses: tuple[str, ...]

    def __call__(self, rows: Mapping[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        repeated = {name: [value for value in values for _ in self.senses] for name, values in rows.items()}
        clips = [index for index in indices for _ in self.senses]
        return {**repeated, ASKED: list(self.senses) * len(indices), CLIP: clips}


_QUESTIONS = {
    Modality.VIDEO: "What do you see in this clip? Answer from the video, whatever you hear or read.",
    Modality.AUDIO: "What do you hear in this clip? Answer from the sound, whatever you see or read.",
}
_SENSES = tuple(_QUESTIONS)
_LABELS = {Modality.VIDEO: "visual_label", Modality.AUDIO: "audio_label"}
_SWAPPED = {Modality.VIDEO: "swapped_video", Modality.AUDIO: "swapped_audio"}
_SWAPPED_LABELS = {Modality.VIDEO: "swapped_visual_label", Modality.AUDIO: "swapped_audio_label"}


def check_clips(source: Source) -> None:
    """Look for the columns that the questions and the swaps need.

    Raises:
        ModalityInterferenceError: one is missing, or the classes do not fit.
    """
    spec = source.spec
    for sense in spec.senses:
        if not source.columns.get(_LABELS[sense]):
            raise source.error(
                f'`columns.{_LABELS[sense]}` is missing, and `twins.asked` is "{spec.asked}". Name the column of the '
                f'{sense} labels, or set `asked` to "{_other(sense)}".'
            )

        check_classes(source, _LABELS[sense])
        classes = classes_of(source, _LABELS[sense])
        if CANNOT_TELL in classes:
            raise source.error(
                f'`twins.classes` holds "{CANNOT_TELL}", which `removed` adds by itself. Remove it there.'
            )

        if spec.removed and spec.option_count(len(classes)) == MAX_OPTIONS:
            raise source.error(
                f'`twins.removed` adds the option "{CANNOT_TELL}": give at most {MAX_OPTIONS - 1} `options`.'
            )

    for sense in _swaps(source):
        _check_swap(source, sense)


@register_format(
    "audio_visual_twins",
    columns=("videos",),
    optional=("audios", *_LABELS.values(), *_SWAPPED.values(), *_SWAPPED_LABELS.values(), "facts"),
    keys=("answer", "classes", "options", "asked", "removed"),
    check=check_clips,
    asks=True,
)
def read_clip(example: Mapping[str, Any], source: Source, draw: random.Random) -> Reading:
    """A clip, asked what it shows or what it sounds like; a twin may take picture or sound of a clip of another class."""
    asked = Modality(example[ASKED])
    media = _media(example, source)
    classes = classes_of(source, _LABELS[asked])
    right = classes[find_class(source.cell(example, _LABELS[asked]), classes)]
    partner = _partner(example, source, draw)
    planted = partner.labels.get(_other(asked)) if partner is not None else None
    if planted == right:
        raise Unusable("swapped clip of the same class", f"both are of the class `{right}`")

    options = [right] if planted is None else [right, planted]
    others = [name for name in classes if name not in options]
    options += draw.sample(others, max(0, source.spec.option_count(len(classes)) - len(options)))
    if source.spec.removed:
        options.append(CANNOT_TELL)
        right = CANNOT_TELL

    draw.shuffle(options)
    row = ask_options(_QUESTIONS[asked], options, options.index(right), source.spec.answer).changed(partner=partner)
    reading = with_media(row, media, example, source).with_missing_placeholders()
    return _without(reading, asked) if source.spec.removed else reading


def _other(sense: Modality) -> Modality:
    return Modality.AUDIO if sense is Modality.VIDEO else Modality.VIDEO


def _swaps(source: Source) -> list[Modality]:
    """The senses that a perturbation takes from another clip."""
    names = {item.name for item in source.spec.perturbations}
    return [sense for sense in _SENSES if _SWAPPED[sense] in names]


def _sounds(source: Source) -> bool:
    """Whether the clips' sound is heard: where no column holds it and nobody asks for it, a dataset of pictures is meant."""
    spec = source.spec
    needed = Modality.AUDIO in spec.senses or any(item.changes is Modality.AUDIO for item in spec.perturbations)
    return needed or "audios" in source.columns


def _media(example: Mapping[str, Any], source: Source) -> dict[str, list[Any]]:
    videos = source.media(example, "videos")
    if len(videos) != 1:
        raise Unusable("not one video", f"a row of clips has one video, found {len(videos)}")

    if not _sounds(source):
        return {"videos": videos}

    audios = source.media(example, "audios") if "audios" in source.columns else videos  # its own sound track
    if len(audios) != 1:
        raise Unusable("not one sound", f"a row of clips has one sound, found {len(audios)}")

    return {"videos": videos, "audios": audios}


def _without(reading: Reading, sense: Modality) -> Reading:
    row = reading.row
    references = tuple(map(removed_reference, row.media(sense)))
    return Reading(row.with_media(sense, references), reading.images, reading.videos, reading.audios)


def _check_swap(source: Source, sense: Modality) -> None:
    named = any(source.columns.get(column) for column in _SWAPPED.values())
    if not named:
        if source.other_rows is None:
            raise source.error(
                f"`{_SWAPPED[sense]}` draws clips of other rows, and streaming has no random access. Name partners in "
                f"`columns` ({', '.join((*_SWAPPED.values(), *_SWAPPED_LABELS.values()))}), or set `streaming: false`."
            )

        for needed in _SENSES if _sounds(source) else (Modality.VIDEO,):
            if not source.columns.get(_LABELS[needed]):
                raise source.error(
                    f"`{_SWAPPED[sense]}` looks for clips of another class: name `columns.{_LABELS[needed]}`."
                )

            check_classes(source, _LABELS[needed])

        return

    own_sound = sense is Modality.AUDIO and "audios" not in source.columns
    medium = _SWAPPED[Modality.VIDEO] if own_sound else _SWAPPED[sense]
    for column in (medium, _SWAPPED_LABELS[sense]):
        if not source.columns.get(column):
            raise source.error(
                f"the perturbation `{_SWAPPED[sense]}` needs `columns.{column}`. Name the column, or remove the swapped "
                "columns, and partners are drawn from the other rows."
            )

    if not classes_of(source, _LABELS[sense]):
        check_classes(source, _SWAPPED_LABELS[sense])


def _partner(example: Mapping[str, Any], source: Source, draw: random.Random) -> Partner | None:
    swaps = _swaps(source)
    if not swaps:
        return None

    if any(source.columns.get(column) for column in _SWAPPED.values()):
        return _given_partner(example, source, swaps)

    return _drawn_partner(example, source, draw)


def _given_partner(example: Mapping[str, Any], source: Source, swaps: list[Modality]) -> Partner:
    media, labels = {}, {}
    for sense in swaps:
        own_sound = sense is Modality.AUDIO and "audios" not in source.columns
        found = source.media(example, _SWAPPED[Modality.VIDEO] if own_sound else _SWAPPED[sense])
        if len(found) != 1:
            raise Unusable("no swapped clip", f"`{_SWAPPED[sense]}` holds {len(found)} media")

        media[sense] = found[0]
        labels[sense] = _label(example, source, sense, _SWAPPED_LABELS[sense])

    return Partner(media, labels)


def _drawn_partner(example: Mapping[str, Any], source: Source, draw: random.Random) -> Partner:
    """A clip of the other rows that neither shows nor sounds like this one."""
    rows, senses = source.other_rows, _SENSES if _sounds(source) else (Modality.VIDEO,)
    own = {_label(example, source, sense, _LABELS[sense]) for sense in senses}
    for _ in range(TRIES if len(rows) > 1 else 0):
        other = rows[draw.randrange(len(rows))]
        try:
            media = _media(other, source)
            labels = {sense: _label(other, source, sense, _LABELS[sense]) for sense in senses}
        except Unusable:  # it will be dropped where its own turn comes
            continue

        if own.isdisjoint(labels.values()):
            return Partner({sense: media[f"{sense}s"][0] for sense in senses}, labels)

    raise Unusable("no clip of another class", f"{TRIES} draws from the other rows found none to swap with")


def _label(example: Mapping[str, Any], source: Source, sense: Modality, column: str) -> str:
    classes = classes_of(source, _LABELS[sense]) or classes_of(source, column)
    return classes[find_class(source.cell(example, column), classes)]
