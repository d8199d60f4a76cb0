"""From a raw row to an aligned one: LLaMA-Factory's keys, and the row's twins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__
from ..errors import ModalityInterferenceError, Unusable
from ..files import MediaFolders
from ..messages import listed, shown, suggestion
from ..modality import MEDIA, Modality, to_bits
from .dataset import RawDataset, RowContext, folded, present_media
from .formats.audio_visual import ASKED, CLIP
from .formats.choice import find_what_answers_are
from .records import INVALID_TEXT, LAYOUT, ROW, Reason, TwinRecord, Variant
from .registry import Format, Perturbation, formats, perturbations
from .row_key import row_key, seeded
from .sample import ParsedRow, References, Sample, own_references
from .spec import PerturbationSpec, TwinsSpec, read_relevant


MAX_CHARACTERS = 1_000_000  # of a row's texts together: more than any model reads, and tokenizing takes a second
_RESERVED = (ASKED, CLIP, INVALID_TEXT, ROW)  # columns that are added to raw rows
OPTIONS_PURPOSE = "options"  # of a format's random numbers; those of perturbations are seeded with their label


@dataclass
class TwinConverter:
    """Makes the aligned row of a raw row; made by `make_converter`, called by `dataset.map(..., with_indices=True)`.

    Attributes:
        dataset: the dataset.
        version: of this package, and of the layout of `_twins`; part of the pickle, so that `datasets` makes cached twins
            anew after an upgrade.
    """

    dataset: RawDataset
    version: tuple[str, int] = (__version__, LAYOUT)

    def __call__(self, example: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Convert one row. A bad row does not raise: it comes out empty, the reason in `_twins`.

        Args:
            example: the raw row.
            index: its index in the dataset, which counts where the row does not say which row of the file it is.

        Returns:
            LLaMA-Factory's `_prompt`, `_response`, `_system`, `_tools`, `_images`, `_videos`, `_audios`, and:

            - `_twin_images`: `{"bytes", "path"}` dicts of other rows' images that twins use, or None.
            - `_twin_videos`, `_twin_audios`: other rows' videos and audio that twins use, or None.
            - `_twins`: a `TwinRecord`, as Arrow holds it.
        """
        name, clip = self.dataset.name, example.get(CLIP)
        index = index if ROW not in example or CLIP in example else example[ROW]
        key = row_key(name, _own_cells(example))
        try:
            if example.get(INVALID_TEXT):
                raise Unusable(
                    "invalid UTF-8", "a text of the row holds bytes that are not UTF-8; save the file as UTF-8"
                )

            relevant = self._relevant(example)
            parsed = self._parse(example, key)
            _check_relevant(relevant, parsed.sample)
        except Unusable as bad:
            record = TwinRecord(name, index, key, clip, media=self._media_named(example), dropped=Reason.of(bad))
            return _aligned(ParsedRow(Sample([], []), {}), {}, record)

        context = RowContext(self.dataset, index, parsed.media)
        sample = parsed.sample
        record = TwinRecord(
            dataset=name,
            row=index,
            key=key,
            clip=clip,
            relevant=to_bits(relevant),
            choices=sample.choices or (),
            answer=sample.answer,
            target=sample.target,
            abstention=sample.abstention,
            media=sample.media,
            variants=tuple(self._variants(sample, key, relevant, context)),
            counterfactuals=tuple(self._counterfactuals(sample, key, relevant, context)),
        )
        return _aligned(parsed, context.borrowed, record)

    def _media_named(self, example: Mapping[str, Any]) -> References:
        """A reference for each kind of media that a bad row has: what it is bad of is counted by kind."""
        return own_references(
            {modality: present_media(self.dataset.cell(example, column))[:1] for modality, column in MEDIA.items()}
        )

    def _relevant(self, example: Mapping[str, Any]) -> frozenset[Modality]:
        if formats()[self.dataset.formatting].asks_per_modality:
            return frozenset([Modality(example[ASKED])])

        column = self.dataset.spec.relevant_column
        if column is None:
            return frozenset(Modality(name) for name in self.dataset.spec.relevant or ())

        try:
            return read_relevant(example.get(column))
        except ValueError as error:
            raise Unusable("relevant not understood", f"column `{column}` holds {error}") from error

    def _parse(self, example: Mapping[str, Any], key: int) -> ParsedRow:
        rng = seeded(self.dataset.seed, self.dataset.name, key, OPTIONS_PURPOSE)
        parsed = formats()[self.dataset.formatting].function(example, self.dataset, rng)
        _check_texts(parsed.sample)
        parsed.sample.check_placeholders()
        return parsed

    def _variants(self, sample: Sample, key: int, relevant: frozenset[Modality], context: RowContext) -> list[Variant]:
        variants = []
        known = perturbations()
        for item in self.dataset.spec.perturbations:
            found = known[item.name]
            twin = None if found.changes in relevant else self._twin(sample, key, item, found, context)
            if twin is not None:
                variants.append(Variant(item.label, twin.prompt, twin.system, twin.media, twin.target, twin.family))

        return variants

    def _counterfactuals(
        self, sample: Sample, key: int, relevant: frozenset[Modality], context: RowContext
    ) -> Iterator[Variant]:
        """The row without its evidence, where it has that evidence: there may be text alone, see `_check_relevant`."""
        known, right = perturbations(), sample.right_answer
        context = replace(context, unless_right=right)  # media go into the same lists, behind those of twins
        for item in self.dataset.spec.counterfactuals:
            found = known[item.name]
            if found.changes not in relevant or not (found.changes is Modality.TEXT or sample.media[found.changes]):
                continue

            made = self._twin(sample, key, item, found, context)
            same = made is not None and made.target is not None and folded(made.target) == folded(right)
            if made is not None and not same:  # another clip of the same class leaves the answer right
                yield Variant(item.label, made.prompt, made.system, made.media)

    def _twin(
        self, sample: Sample, key: int, item: PerturbationSpec, perturbation: Perturbation, context: RowContext
    ) -> Sample | None:
        rng = seeded(self.dataset.seed, self.dataset.name, key, item.label)
        # a clean row's target is that of its own clip; a twin's is what its perturbation names
        twin = perturbation.function(sample.changed(target=None), rng, context, item.parameters)
        if twin is None:
            return None

        try:
            twin.check_placeholders()
        except Unusable:  # the target option holds a placeholder: LLaMA-Factory would stop at the count
            return None

        return twin


def make_converter(
    *,
    formatting: str,
    spec: TwinsSpec,
    columns: Mapping[str, str] | None,
    dataset_name: str,
    column_names: Sequence[str],
    base_converter: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    dataset_dir: str | None = None,
    class_names: Mapping[str, Sequence[str]] | None = None,
    other_rows: Any = None,
    find_media: Callable[[list[Any]], list[Any] | None] | None = None,
    media_folders: MediaFolders | None = None,
    ranking: bool = False,
    seed: int = 0,
) -> TwinConverter:
    """Make the converter of a dataset, once everything that can be checked without a row has been checked.

    Args:
        formatting: a registered format.
        spec: the dataset's `twins` block.
        columns: the dataset's `columns` block; None or empty for the format's defaults.
        dataset_name: in `dataset_info.json`.
        column_names: the columns that the dataset has.
        base_converter: LLaMA-Factory's converter of `formats()[formatting].base`, where that is not None.
        dataset_dir: the folder of `dataset_info.json`, which holds the pools; None without such a folder.
        class_names: the names of every column with a ClassLabel feature, and of columns with labels that are texts.
        other_rows: the raw rows by index, images undecoded; None for streaming.
        find_media: LLaMA-Factory's `_find_medias`.
        media_folders: where media may be opened; None where the caller checks their paths itself.
        ranking: the entry's `ranking`: whether rows are pairs of a chosen and a rejected answer.
        seed: of every random choice.

    Returns:
        A converter that pickles and whose pickle depends on the arguments only, so that `datasets` caches its work.

    Raises:
        ModalityInterferenceError: a column is unknown or missing, a pool is missing or empty, a perturbation needs
            what the dataset does not have; names the dataset and what to change.
    """
    known = formats()
    if formatting not in known:
        raise ModalityInterferenceError(
            f"dataset `{dataset_name}`: unknown format `{formatting}`. Registered: {listed(known)}."
        )

    _check_columns_block(columns, dataset_name)
    columns = dict(columns or known[formatting].defaults)
    dataset = RawDataset(
        name=dataset_name,
        formatting=formatting,
        spec=spec,
        columns=columns,
        seed=seed,
        dataset_dir=dataset_dir,
        class_names={name: tuple(names) for name, names in (class_names or {}).items()},
        other_rows=other_rows,
        base_converter=base_converter,
        find_media=find_media,
        media_folders=media_folders,
        ranking=ranking,
    )
    layout = known[formatting]
    _check_columns(dataset, layout, column_names)
    dataset.answers = find_what_answers_are(dataset)
    if layout.check is not None:
        layout.check(dataset)

    for item in (*spec.perturbations, *spec.counterfactuals):
        item.parameters.check(dataset)

    return TwinConverter(dataset)


def _check_columns_block(columns: Any, dataset: str) -> None:
    if columns is None:
        return

    if not isinstance(columns, Mapping) or not all(isinstance(name, str | None) for name in columns.values()):
        raise ModalityInterferenceError(
            f'dataset `{dataset}`: `columns` must be an object of column names, such as {{"images": "image"}}, '
            f"found {shown(columns)}."
        )


def _check_columns(dataset: RawDataset, layout: Format, column_names: Sequence[str]) -> None:
    allowed = layout.allowed(dataset.ranking)
    for key in dataset.columns:
        if key not in allowed:
            raise dataset.error(
                f"`columns.{key}` is not used by the format `{layout.name}`.{suggestion(key, allowed)} "
                f"Allowed: {listed(allowed)}."
            )

    for key in layout.required(dataset.ranking):
        if not dataset.columns.get(key):
            raise dataset.error(
                f"`columns.{key}` is missing; name one of the dataset's columns: {listed(column_names)}."
            )

    named = {f"columns.{key}": name for key, name in dataset.columns.items() if name is not None}
    if dataset.spec.relevant_column is not None:
        named["twins.relevant"] = dataset.spec.relevant_column

    for key, name in named.items():
        if name in _RESERVED:
            raise dataset.error(
                f"`{key}` names the column `{name}`, a name that the plugin gives to a column of its own. Rename it in the "
                "data, and here."
            )

        if name not in column_names:
            raise dataset.error(
                f"`{key}` names the column `{name}`, which the dataset does not have.{suggestion(name, column_names)} "
                f"Its columns: {listed(column_names)}."
            )

    if ("choices" in dataset.columns) != ("answer" in dataset.columns) and "choices" in allowed:
        raise dataset.error("`columns` names only one of `choices` and `answer`; name both or neither.")


def _check_relevant(relevant: frozenset[Modality], sample: Sample) -> None:
    """Refuse a row that lacks what its answer depends on; where that is the text too, there may be text alone."""
    if Modality.TEXT in relevant:
        return

    for modality, column in MEDIA.items():
        if modality in relevant and not sample.media[modality]:
            raise Unusable(
                f"no {modality} although it is relevant",
                f"the answer depends on the {modality}, and the row has none; name the column in `columns.{column}`, fill it, or "
                "leave the modality out of `twins.relevant`",
            )


def _own_cells(example: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row without the columns that depend on other rows: its index, and whether the text of any row is not UTF-8."""
    return {name: value for name, value in example.items() if name not in (CLIP, INVALID_TEXT, ROW)}


def _check_texts(sample: Sample) -> None:
    texts = [sample.system, sample.tools, *(sample.choices or ()), *sample.distractors]
    texts += [message["content"] for message in (*sample.prompt, *sample.answers)]
    characters = sum(map(len, texts))
    if characters > MAX_CHARACTERS:
        raise Unusable("text too long", f"{characters:,} characters; at most {MAX_CHARACTERS:,} are allowed")

    try:
        "".join(texts).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can escape and no file can hold
        raise Unusable("text not encodable", f"it holds {error.object[error.start]!r}") from error


def _aligned(parsed: ParsedRow, borrowed: Mapping[Modality, list[Any]], record: TwinRecord) -> dict[str, Any]:
    sample, media = parsed.sample, parsed.media
    borrowed = {**borrowed, Modality.IMAGE: [_as_dict(image) for image in borrowed.get(Modality.IMAGE, ())]}
    return {
        "_prompt": sample.prompt,
        "_response": sample.answers,
        "_system": sample.system,
        "_tools": sample.tools,
        **{f"_{column}": media.get(modality) or None for modality, column in MEDIA.items()},  # as LLaMA-Factory: no []
        **{f"_twin_{column}": borrowed.get(modality) or None for modality, column in MEDIA.items()},
        "_twins": record.to_arrow(),
    }


def _as_dict(image: Any) -> dict[str, Any]:
    """One type for borrowed images, whatever the dataset has: Arrow wants one."""
    if isinstance(image, str):
        return {"bytes": None, "path": image}

    return {"bytes": image, "path": None} if isinstance(image, bytes) else image


@dataclass
class PlainRow:
    """Adds `_twins` to aligned rows of an extension's plain format, so that warnings and the evaluation can name them.

    Attributes:
        dataset: the dataset's name.
        version: as of `TwinConverter`.
    """

    dataset: str
    version: tuple[str, int] = (__version__, LAYOUT)

    def __call__(self, example: Mapping[str, Any], index: int) -> dict[str, Any]:
        """The new column of one aligned row; called by `dataset.map(..., with_indices=True)`."""
        media = own_references({modality: example[f"_{column}"] or () for modality, column in MEDIA.items()})
        record = TwinRecord(self.dataset, index, row_key(self.dataset, example), media=media)
        return {"_twins": record.to_arrow()}
