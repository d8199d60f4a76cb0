"""The worst flips with what the model saw, for the gallery of the report."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Any

from datasets import Dataset

from ..batching.questions import answer_start, last_turn_start
from ..batching.tokens import ModalityTokens
from ..errors import ModalityInterferenceError
from ..media.image import load_image
from ..media.thumbnails import CLIP_MODALITIES, clip_thumbnails, thumbnail_uri
from ..modality import CLEAN, Modality
from ..results import Flip, MediaThumbnail, ScoredRow


SIZE = 24  # flips in the gallery
UNMOVED = 8  # answers that stayed
Example = dict[str, Any]


@dataclass
class Gallery:
    """Makes the gallery of one diagnosis.

    Attributes:
        tokenizer: turns prompts back into text.
        tokens: which token ids stand for media.
        thought: the tokens that the template writes for a skipped thought.
        closing: the tokens that the template writes between a question and its answer.
    """

    tokenizer: Any
    tokens: ModalityTokens
    thought: Sequence[int] = ()
    closing: Sequence[int] = ()

    def flips(self, rows: list[ScoredRow], datasets: list[Any]) -> list[Flip]:
        """The worst flips, every perturbation's worst first.

        Args:
            rows: all scored rows.
            datasets: the tokenized evaluation datasets.
        """
        return self._shown(worst_flips(rows), rows, datasets)

    def unmoved(self, gone: list[ScoredRow], rows: list[ScoredRow], datasets: list[Any]) -> list[Flip]:
        """Answers that stayed although their evidence was gone, every perturbation's surest first.

        Args:
            gone: all scored counterfactual rows.
            rows: all other scored rows.
            datasets: the tokenized evaluation datasets.
        """
        return self._shown(surest_unmoved(gone, rows), rows, datasets)

    def _shown(self, worst: list[ScoredRow], rows: list[ScoredRow], datasets: list[Any]) -> list[Flip]:
        clean = {(row.dataset, row.row): row for row in rows if row.perturbation == CLEAN}
        examples = _find(datasets, {(row.dataset, row.row) for row in worst})
        return [
            self._flip(row, clean[row.dataset, row.row], examples[row.dataset, row.row])
            for row in worst
            if (row.dataset, row.row) in examples and (row.dataset, row.row) in clean
        ]

    def _flip(self, row: ScoredRow, clean: ScoredRow, example: Example) -> Flip:
        made = [*example["variants"], *(example.get("counterfactuals") or [])]
        twin = next(item for item in made if item["perturbation"] == row.perturbation)
        return Flip(
            dataset=row.dataset,
            row=row.row,
            perturbation=row.perturbation,
            prompt=self.prompt(example),
            perturbed_prompt=self.prompt(twin),
            images=_thumbnails(example, example["image_references"]),
            perturbed_images=_thumbnails(example, twin["image_references"]),
            clips=[clip for modality in CLIP_MODALITIES for clip in _clips(example, modality, example)],
            perturbed_clips=[clip for modality in _changed(example, twin) for clip in _clips(twin, modality, example)],
            right_answer=row.right if row.right is not None and row.options else self.right_answer(example),
            clean_answer=clean.answer,
            perturbed_answer=row.answer,
            clean_response=clean.response,
            perturbed_response=row.response,
            clean_correct=clean.correct,
            perturbed_correct=row.correct,
            target=twin["target"] or None,
            causal_effect=row.causal_effect,
        )

    def prompt(self, row: Example) -> str:
        """What the user asked, as text: media as `<image>` and the like, without what the template writes around it."""
        names = {token_id: f"<{modality}>" for modality, token_id in self.tokens.media.items()}
        prompt = row["input_ids"][row.get("prompt_start") or 0 : last_turn_start(row["labels"])]
        if prompt[-len(self.closing) :] == list(self.closing):
            prompt = prompt[: -len(self.closing)]

        parts = []
        for token_id, run in groupby(prompt, key=lambda token_id: token_id if token_id in names else None):
            text = [item for item in run if item not in self.tokens.special]
            parts.append(self.tokenizer.decode(text) if token_id is None else names[token_id])

        return "".join(parts).strip()

    def right_answer(self, example: Example) -> str:
        """The response that would have been right, where it is free."""
        answer = example["labels"][answer_start(example["labels"], self.thought) :]
        return self.tokenizer.decode(answer, skip_special_tokens=True).strip()


def worst_flips(rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """At most `SIZE` flips, taken from every dataset and perturbation in turn.

    Of one dataset and perturbation, flips of a right answer come first, then those with the largest causal effect.
    """
    right = {(row.dataset, row.row) for row in rows if row.perturbation == CLEAN and row.correct}
    groups: dict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in rows:
        if row.flipped:
            groups[row.dataset, row.perturbation].append(row)

    for members in groups.values():
        members.sort(key=lambda row: ((row.dataset, row.row) not in right, -(row.causal_effect or 0), row.row))

    return _in_turn(groups)[:SIZE]


def surest_unmoved(gone: Iterable[ScoredRow], rows: Iterable[ScoredRow]) -> list[ScoredRow]:
    """At most `UNMOVED` rows whose right answer stayed, taken from every dataset and perturbation in turn.

    Wrong answers that stay say nothing of the evidence. Of one dataset and perturbation, the most confident ones come first.
    """
    right = {(row.dataset, row.row) for row in rows if row.perturbation == CLEAN and row.correct}
    groups: dict[tuple[str, str], list[ScoredRow]] = defaultdict(list)
    for row in gone:
        if row.unchanged and (row.dataset, row.row) in right:
            groups[row.dataset, row.perturbation].append(row)

    for members in groups.values():
        members.sort(key=lambda row: (-(row.confidence or 0), row.row))

    return _in_turn(groups)[:UNMOVED]


def _in_turn(groups: dict[tuple[str, str], list[ScoredRow]]) -> list[ScoredRow]:
    return [row for turn in zip_longest(*groups.values()) for row in turn if row is not None]


def _find(datasets: list[Any], wanted: set[tuple[str, int]]) -> dict[tuple[str, int], Example]:
    """The examples with these datasets and rows; those that no dataset has any more are missing."""
    found: dict[tuple[str, int], Example] = {}
    for dataset in datasets:
        for example in _candidates(dataset, wanted):
            found.setdefault((example.get("dataset") or "", example.get("row", -1)), example)
            if len(found) >= len(wanted) and wanted <= set(found):
                return found

    return found


def _candidates(dataset: Any, wanted: set[tuple[str, int]]) -> Iterator[Example]:
    if not isinstance(dataset, Dataset):
        yield from dataset
        return

    for index, identity in enumerate(zip(dataset["dataset"], dataset["row"])):
        if identity in wanted:
            yield dataset[index]


def _thumbnails(example: Example, references: list[str]) -> list[str]:
    images, extra = example.get("images") or [], example.get("twin_images") or []
    found = []
    for reference in references:
        try:
            found.append(thumbnail_uri(load_image(reference, images, extra)))
        except ModalityInterferenceError:  # gone since it was scored
            continue

    return found


def _changed(example: Example, twin: Example) -> list[Modality]:
    """The modalities of clips in which a twin differs from its clean row."""
    return [
        modality for modality in CLIP_MODALITIES if twin[f"{modality}_references"] != example[f"{modality}_references"]
    ]


def _clips(row: Example, modality: Modality, example: Example) -> list[MediaThumbnail]:
    """Videos or audio of an example or of one of its twins."""
    media = {"row": example.get(f"{modality}s"), "extra": example.get(f"twin_{modality}s")}
    return clip_thumbnails(row[f"{modality}_references"] or [], modality, media, _name)


def _name(medium: Any) -> str:
    """The name of a medium's file, without its folder: pages are shared."""
    name = os.path.basename(medium) if isinstance(medium, str) else "embedded"
    return name.encode("utf-8", "replace").decode()
