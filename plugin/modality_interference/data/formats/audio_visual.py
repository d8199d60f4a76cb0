"""The format of labelled clips: one visual and one audio question per clip (arXiv 2511.22826)."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Unusable
from ...modality import Modality
from ..dataset import TRIES, RawDataset
from ..options import MAX_OPTIONS
from ..records import ROW
from ..registry import register_format
from ..sample import ParsedRow, Partner
from ..spec import MODALITY, PerturbationSpec
from .choice import SWAPPED, ask_classes, check_classes, classes_of, find_class, with_media


if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

ASKED = "_asked"  # the column that says which modality the row's question is about
CLIP = "_clip"  # the column with the index of the row that the file has


def ask_each(dataset: "Dataset | IterableDataset", modalities: Sequence[Modality], **options: Any) -> Any:
    """Repeat every row, once for each modality that it is asked about.

    Args:
        dataset: the raw rows.
        modalities: in the order of the questions.
        options: further arguments of `dataset.map`.
    """
    from datasets import Features, Value  # here: formats are read without it

    known = dataset.features
    features = Features({**known, ASKED: Value("string"), CLIP: Value("int64")}) if known is not None else None
    question = _Questions(tuple(modality.value for modality in modalities))
    return dataset.map(question, batched=True, with_indices=True, features=features, **options)


@dataclass(frozen=True)
class _Questions:
    modalities: tuple[str, ...]

    def __call__(self, rows: Mapping[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        repeated = {name: [value for value in values for _ in self.modalities] for name, values in rows.items()}
        clips = [index for index in rows.get(ROW, indices) for _ in self.modalities]
        return {**repeated, ASKED: list(self.modalities) * len(indices), CLIP: clips}


_QUESTIONS = {
    Modality.VIDEO: "What do you see in this clip? Answer from the video, whatever you hear or read.",
    Modality.AUDIO: "What do you hear in this clip? Answer from the sound, whatever you see or read.",
}
_ASKABLE = tuple(_QUESTIONS)
_ADJECTIVES = {Modality.VIDEO: "visual", Modality.AUDIO: "audio"}  # for `{modality}` in questions
_LABELS = {Modality.VIDEO: "visual_label", Modality.AUDIO: "audio_label"}
_SWAPPED_LABELS = {Modality.VIDEO: "swapped_visual_label", Modality.AUDIO: "swapped_audio_label"}


def check_clips(dataset: RawDataset) -> None:
    """Look for the columns that the questions and the swaps need.

    Raises:
        ModalityInterferenceError: one is missing, or the classes do not fit.
    """
    spec = dataset.spec
    for modality in spec.asked_modalities:
        if not dataset.columns.get(_LABELS[modality]):
            raise dataset.error(
                f'`columns.{_LABELS[modality]}` is missing, and `twins.ask_about` is "{spec.ask_about}". Name the column of the '
                f'{modality} labels, or set `ask_about` to "{_other(modality)}".'
            )

        check_classes(dataset, _LABELS[modality])
        classes = classes_of(dataset, _LABELS[modality])
        if spec.abstention in classes:
            raise dataset.error(
                f'`twins.abstention` is "{spec.abstention}", and a class is called so. Choose other words.'
            )

        if spec.abstention is not None and spec.option_count(len(classes)) == MAX_OPTIONS:
            raise dataset.error(
                f'`twins.abstention` adds the option "{spec.abstention}": give at most {MAX_OPTIONS - 1} `options`.'
            )

    for modality in _swaps(dataset.spec.perturbations + dataset.spec.counterfactuals):
        _check_swap(dataset, modality)


@register_format(
    "audio_visual_twins",
    columns=("videos",),
    optional=("audios", *_LABELS.values(), *SWAPPED.values(), *_SWAPPED_LABELS.values(), "distractors"),
    keys=("answer", "classes", "options", "question", "ask_about", "drop_asked_modality", "abstention"),
    labels=(*_LABELS.values(), *_SWAPPED_LABELS.values()),
    check=check_clips,
    asks_per_modality=True,
)
def read_clip(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> ParsedRow:
    """A clip, asked what it shows or what it sounds like; a twin may take the video or audio of a clip of another class."""
    asked, spec = Modality(example[ASKED]), dataset.spec
    media = _media(example, dataset)
    classes = classes_of(dataset, _LABELS[asked])
    right = classes[find_class(dataset.cell(example, _LABELS[asked]), classes)]
    partner = _partner(example, dataset, rng, _swaps(spec.perturbations))
    swapped = partner.labels.get(_other(asked)) if partner is not None else None
    if swapped == right:
        raise Unusable("swapped clip of the same class", f"both are of the class `{right}`")

    target = _own_other_class(example, dataset, asked, right)
    options = list(dict.fromkeys(name for name in (right, swapped, target) if name is not None))
    others = [name for name in classes if name not in options]
    options += rng.sample(others, max(0, spec.option_count(len(classes)) - len(options)))
    rng.shuffle(options)
    if spec.abstention is not None:
        options.append(spec.abstention)  # the last one: it may say "above"
        right = spec.abstention if spec.drop_asked_modality else right

    sample = ask_classes(_question(dataset, asked), options, options.index(right), spec.answer)
    # the last draws: the clean row and its twins are the same without counterfactuals
    partner = _with_counterfactuals(partner, example, dataset, rng)
    sample = sample.changed(partner=partner, target=target, abstention=spec.abstention)
    parsed = with_media(sample, media, example, dataset)
    return ParsedRow(parsed.sample.with_removed(asked), parsed.media) if spec.drop_asked_modality else parsed


def _question(dataset: RawDataset, asked: Modality) -> str:
    question = dataset.spec.question or _QUESTIONS[asked]
    text = question if isinstance(question, str) else next(text for name, text in question.items() if name == asked)
    return text.replace(MODALITY, _ADJECTIVES[asked])


def _own_other_class(example: Mapping[str, Any], dataset: RawDataset, asked: Modality, right: str) -> str | None:
    """The class of the modality that is not asked about, where the clip itself shows one thing and sounds like another."""
    other = _other(asked)
    if other is Modality.AUDIO and not _has_audio(dataset):
        return None

    try:
        found = _label(example, dataset, other, _LABELS[other])
    except Unusable:  # no label, or one that is no class: nothing is known of it
        return None

    return None if found == right else found


def _other(modality: Modality) -> Modality:
    return Modality.AUDIO if modality is Modality.VIDEO else Modality.VIDEO


def _swaps(items: Sequence[PerturbationSpec]) -> list[Modality]:
    """The modalities that perturbations take from another clip."""
    names = {item.name for item in items}
    return [modality for modality in _ASKABLE if SWAPPED[modality] in names]


def _has_audio(dataset: RawDataset) -> bool:
    """Whether the clips' audio is used: where no column holds it and no question or perturbation needs it, it is not."""
    spec = dataset.spec
    needed = Modality.AUDIO in spec.asked_modalities or any(
        item.changes is Modality.AUDIO for item in spec.perturbations
    )
    return needed or "audios" in dataset.columns


def _media(example: Mapping[str, Any], dataset: RawDataset) -> dict[Modality, list[Any]]:
    videos = dataset.media(example, Modality.VIDEO)
    if len(videos) != 1:
        raise Unusable("not one video", f"a row of clips has one video, found {len(videos)}")

    if not _has_audio(dataset):
        return {Modality.VIDEO: videos}

    audios = dataset.media(example, Modality.AUDIO) if "audios" in dataset.columns else videos  # its own audio track
    if len(audios) != 1:
        raise Unusable("not one audio", f"a row of clips has one audio, found {len(audios)}")

    return {Modality.VIDEO: videos, Modality.AUDIO: audios}


def _check_swap(dataset: RawDataset, modality: Modality) -> None:
    named = any(dataset.columns.get(column) for column in SWAPPED.values())
    if not named:
        if dataset.other_rows is None:
            raise dataset.error(
                f"`{SWAPPED[modality]}` draws clips of other rows, and streaming has no random access. Name partners in "
                f"`columns` ({', '.join((*SWAPPED.values(), *_SWAPPED_LABELS.values()))}), or set `streaming: false`."
            )

        for needed in _ASKABLE if _has_audio(dataset) else (Modality.VIDEO,):
            if not dataset.columns.get(_LABELS[needed]):
                raise dataset.error(
                    f"`{SWAPPED[modality]}` looks for clips of another class: name `columns.{_LABELS[needed]}`."
                )

            check_classes(dataset, _LABELS[needed])

        return

    own_track = modality is Modality.AUDIO and "audios" not in dataset.columns
    medium = SWAPPED[Modality.VIDEO] if own_track else SWAPPED[modality]
    for column in (medium, _SWAPPED_LABELS[modality]):
        if not dataset.columns.get(column):
            raise dataset.error(
                f"the perturbation `{SWAPPED[modality]}` needs `columns.{column}`. Name the column, or remove the swapped "
                "columns, and partners are drawn from the other rows."
            )

    if not classes_of(dataset, _LABELS[modality]):
        check_classes(dataset, _SWAPPED_LABELS[modality])


def _with_counterfactuals(
    partner: Partner | None, example: Mapping[str, Any], dataset: RawDataset, rng: random.Random
) -> Partner | None:
    """The partner of the twins, with what counterfactuals take from another clip beside it."""
    had = partner.media if partner is not None else {}
    needed = [modality for modality in _swaps(dataset.spec.counterfactuals) if modality not in had]
    try:
        found = _partner(example, dataset, rng, needed)
    except Unusable:  # the row is good all the same
        return partner

    if partner is None or found is None:
        return partner or found

    return Partner({**found.media, **partner.media}, {**found.labels, **partner.labels})


def _partner(
    example: Mapping[str, Any], dataset: RawDataset, rng: random.Random, swaps: list[Modality]
) -> Partner | None:
    if not swaps:
        return None

    if any(dataset.columns.get(column) for column in SWAPPED.values()):
        return _given_partner(example, dataset, swaps)

    return _drawn_partner(example, dataset, rng)


def _given_partner(example: Mapping[str, Any], dataset: RawDataset, swaps: list[Modality]) -> Partner:
    media, labels = {}, {}
    for modality in swaps:
        own_track = modality is Modality.AUDIO and "audios" not in dataset.columns
        column = SWAPPED[Modality.VIDEO] if own_track else SWAPPED[modality]
        found = dataset.media(example, modality, column)
        if len(found) != 1:
            raise Unusable("no swapped clip", f"`{SWAPPED[modality]}` holds {len(found)} media")

        media[modality] = found[0]
        labels[modality] = _label(example, dataset, modality, _SWAPPED_LABELS[modality])

    return Partner(media, labels)


def _drawn_partner(example: Mapping[str, Any], dataset: RawDataset, rng: random.Random) -> Partner:
    """A clip of the other rows that neither shows nor sounds like this one; failing that, one that contradicts its answer."""
    rows, modalities = dataset.other_rows, _ASKABLE if _has_audio(dataset) else (Modality.VIDEO,)
    own = {modality: _label(example, dataset, modality, _LABELS[modality]) for modality in modalities}
    asked, contradicting = Modality(example[ASKED]), None
    for _ in range(TRIES if len(rows) > 1 else 0):
        other = rows[rng.randrange(len(rows))]
        try:
            media = _media(other, dataset)
            labels = {modality: _label(other, dataset, modality, _LABELS[modality]) for modality in modalities}
        except Unusable:  # it will be dropped where its own turn comes
            continue

        partner = Partner({modality: media[modality][0] for modality in modalities}, labels)
        if set(own.values()).isdisjoint(labels.values()):
            return partner

        if contradicting is None and labels.get(_other(asked)) != own.get(asked):
            contradicting = partner

    if contradicting is not None:
        return contradicting

    raise Unusable("no clip of another class", f"{TRIES} draws from the other rows found none to swap with")


def _label(example: Mapping[str, Any], dataset: RawDataset, modality: Modality, column: str) -> str:
    classes = classes_of(dataset, _LABELS[modality]) or classes_of(dataset, column)
    return classes[find_class(dataset.cell(example, column), classes)]
