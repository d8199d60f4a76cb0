"""Counterfactuals of text: the evidence that a row names is removed, or another row's stands in its place."""

import random

from ...modality import Modality
from ..dataset import RawDataset, RowContext
from ..evidence import evidence_texts, with_evidence
from ..matching import contains, words_of
from ..registry import Parameters, register_perturbation
from ..sample import Sample, without_placeholders


class NamedEvidence(Parameters):
    """`removed_sentence` has no parameters, but needs a column."""

    def check(self, dataset: RawDataset) -> None:
        """Look for the column `evidence`."""
        _check_column("removed_sentence", dataset)


class OtherEvidence(Parameters):
    """`swapped_sentence` has no parameters, but needs a column and other rows."""

    def check(self, dataset: RawDataset) -> None:
        """Look for the column `evidence` and other rows (not with `streaming`)."""
        _check_column("swapped_sentence", dataset)
        if dataset.other_rows is None:
            raise dataset.error(
                "`swapped_sentence` draws from other rows, and streaming has no random access. Set `streaming: false`, or use "
                "`removed_sentence`."
            )


@register_perturbation("removed_sentence", changes=Modality.TEXT, parameters=NamedEvidence, removes_evidence=True)
def removed_sentence(
    sample: Sample, rng: random.Random, context: RowContext, parameters: NamedEvidence
) -> Sample | None:
    """The prompt without the row's evidence."""
    if not sample.evidence:
        return None

    gone = with_evidence(sample, sample.evidence, [""] * len(sample.evidence))
    return gone if without_placeholders(gone.question or "").strip() else None


@register_perturbation("swapped_sentence", changes=Modality.TEXT, parameters=OtherEvidence, removes_evidence=True)
def swapped_sentence(
    sample: Sample, rng: random.Random, context: RowContext, parameters: OtherEvidence
) -> Sample | None:
    """Another row's evidence in place of the row's own."""
    if not sample.evidence:
        return None

    own = " ".join(evidence_texts(sample, sample.evidence))
    told = contains(own, sample.right_answer)

    def fits(text: str) -> bool:
        return words_of(text) != words_of(own) and not (told and contains(text, sample.right_answer))

    other = context.other_row_evidence(rng, fits)
    if other is None:
        return None

    return with_evidence(sample, sample.evidence, [other, *[""] * (len(sample.evidence) - 1)])


def _check_column(name: str, dataset: RawDataset) -> None:
    if not dataset.columns.get("evidence"):
        raise dataset.error(
            f"`{name}` changes the text that an answer is read from, and `columns` names no `evidence`. Name the column that "
            "holds that text, as it stands in the prompt; the formats of clips and of labelled images have none."
        )
