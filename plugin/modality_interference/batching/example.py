"""A tokenized row with its twins: what tokenizing makes, what Arrow stores, what the collator reads.

`to_arrow` is the only place that writes the columns of a tokenized dataset, `from_arrow` the only one that reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.records import Reason, TwinRecord
from ..data.sample import CHOSEN
from ..media.reference import first_file_name
from ..modality import CLEAN, IGNORE_LABEL, MEDIA, Modality


NO_ANSWER = -1  # in the column `answer`
NO_CLIP = -1  # in the column `clip`


@dataclass(frozen=True)
class TokenizedRow:
    """A clean row or a twin.

    Attributes:
        input_ids: token ids of prompt and answer.
        labels: as many label ids, `IGNORE_LABEL` where there is none.
        prompt_start: how many tokens come before the first turn.
        references: for image, video and audio, a reference for every medium of the prompt; None where the dataset was
            tokenized without the plugin, so that the row's media are the example's.
        media_tokens: likewise, how many tokens each medium takes.
        media_runs: (modality bit, first token, length) of every run of tokens that a medium has made.
        perturbation: the twin's label, `CLEAN` for the clean row.
        target: the wrong option or answer that the perturbation claims to be right; of a clean row, see `TwinRecord`.
        family: see `Variant`.
        claimed_ids: the label ids of the target as an answer, where the answer is free; empty where it cannot be compared with
            the right one.
        pair_answer: in a batch, which answer of a pair the row has; rows of single answers have the chosen one.
    """

    input_ids: list[int]
    labels: list[int]
    prompt_start: int = 0
    references: Mapping[Modality, Sequence[str]] | None = None
    media_tokens: Mapping[Modality, Sequence[int]] = field(default_factory=dict)
    media_runs: Sequence[Sequence[int]] = ()
    perturbation: str = CLEAN
    target: str | None = None
    family: str | None = None
    claimed_ids: Sequence[int] = ()
    pair_answer: str = CHOSEN

    @classmethod
    def empty(cls, input_ids: Sequence[int] = ()) -> "TokenizedRow":
        """A row without labels and media."""
        nothing: dict[Modality, Sequence[Any]] = dict.fromkeys(MEDIA, ())
        return cls(list(input_ids), [IGNORE_LABEL] * len(input_ids), references=nothing, media_tokens=nothing)

    @classmethod
    def from_arrow(cls, value: Mapping[str, Any]) -> "TokenizedRow":
        """Read an example's columns, or an item of its `variants`."""
        known = "image_references" in value
        return cls(
            input_ids=value["input_ids"],
            labels=value["labels"],
            prompt_start=value.get("prompt_start") or 0,
            references={modality: value[f"{modality}_references"] or () for modality in MEDIA} if known else None,
            media_tokens={modality: value[f"{modality}_tokens"] or () for modality in MEDIA} if known else {},
            media_runs=value.get("media_runs") or (),
            perturbation=value.get("perturbation") or CLEAN,
            target=value.get("target") or None,
            family=value.get("family") or None,
            claimed_ids=value.get("claimed_ids") or (),
        )

    def to_arrow(self) -> dict[str, Any]:
        """The columns that a clean row and a twin have in common."""
        references = self.references or {}
        return {
            "input_ids": self.input_ids,
            "labels": self.labels,
            "prompt_start": self.prompt_start,
            **{f"{modality}_references": list(references.get(modality, ())) for modality in MEDIA},
            **{f"{modality}_tokens": list(self.media_tokens.get(modality, ())) for modality in MEDIA},
            "media_runs": [list(run) for run in self.media_runs],
        }

    def with_answer(self, start: int, tokens: Sequence[int]) -> "TokenizedRow":
        """The row with other answer tokens from `start` on, and no labels before."""
        labels = [*[IGNORE_LABEL] * start, *tokens]
        return replace(self, input_ids=[*self.input_ids[:start], *tokens], labels=labels)


@dataclass(frozen=True)
class TokenizedExample:
    """One row of a dataset: a clean row and its twins.

    Attributes:
        clean: the clean row; empty where the example is dropped.
        variants: its twins.
        counterfactuals: its rows without the evidence; none in a training that has no use for them.
        media: for image, video and audio, the row's raw media.
        borrowed: likewise, media of other rows that twins use.
        dataset: the dataset's name.
        row: the row's index there; of the repeated row, where a row of the data is asked several questions.
        clip: the index of the row of the data, where it is asked several questions.
        key: the row's key.
        relevant: the relevant set as bits, 0 where nothing is known.
        choices: the options, empty where there are none.
        answer: the index of the right option, None where there are no options.
        abstention: the option that says that one cannot tell, where the row offers one.
        option_ids: for every option the tokens that are scored; empty where the answer is free: without options, or with a
            response that is neither an option's text nor its letter.
        option_lengths: for every option the characters of the answer that is scored: its text's, or 1 for its letter.
        rejected_ids: of a pair the label ids of the rejected answer, which all its rows have in common; else empty.
        withheld_ids: of a pair likewise those of the answer that withholds, where there is one.
        dropped: why the row cannot be used.
        dropped_twins: why twins of it cannot be used.
        remarks: how LLaMA-Factory reads images of it that are good all the same.
    """

    clean: TokenizedRow
    variants: Sequence[TokenizedRow] = ()
    counterfactuals: Sequence[TokenizedRow] = ()
    media: Mapping[Modality, Sequence[Any]] = field(default_factory=dict)
    borrowed: Mapping[Modality, Sequence[Any]] = field(default_factory=dict)
    dataset: str = ""
    row: int = -1
    clip: int | None = None
    key: int = 0
    relevant: int = 0
    choices: tuple[str, ...] = ()
    answer: int | None = None
    abstention: str | None = None
    option_ids: Sequence[Sequence[int]] = ()
    option_lengths: Sequence[int] = ()
    rejected_ids: Sequence[int] = ()
    withheld_ids: Sequence[int] = ()
    dropped: Reason | None = None
    dropped_twins: Sequence[Reason] = ()
    remarks: Sequence[Reason] = ()

    @classmethod
    def of_record(cls, record: TwinRecord, row: Mapping[str, Any], clean: TokenizedRow) -> "TokenizedExample":
        """All that is known of a row before it is tokenized.

        Args:
            record: what the row says of its twins.
            row: the aligned row, with its raw media.
            clean: its clean row, without tokens.
        """
        return cls(
            clean=clean,
            media={modality: row[f"_{column}"] or [] for modality, column in MEDIA.items()},
            borrowed={modality: row.get(f"_twin_{column}") or [] for modality, column in MEDIA.items()},
            dataset=record.dataset,
            row=record.row,
            clip=record.clip,
            key=record.key,
            relevant=record.relevant,
            choices=record.choices,
            answer=record.answer,
            abstention=record.abstention,
            dropped=record.dropped,
        )

    @property
    def data_row(self) -> int:
        """The row of the data: `clip` where several questions are asked about one, else `row`."""
        return self.row if self.clip is None else self.clip

    @property
    def medium(self) -> str:
        """The name of the file of the row's first image, video or audio; "" where there is none. Files of rows are shared."""
        return first_file_name(self.media.get(modality, ()) for modality in MEDIA)

    @classmethod
    def from_arrow(cls, value: Mapping[str, Any]) -> "TokenizedExample":
        """Read a row of a tokenized dataset; of one that was tokenized without the plugin, LLaMA-Factory's columns."""
        answer, clip = value.get("answer", NO_ANSWER), value.get("clip", NO_CLIP)
        return cls(
            clean=TokenizedRow.from_arrow(value),
            variants=[TokenizedRow.from_arrow(variant) for variant in value.get("variants") or ()],
            counterfactuals=[TokenizedRow.from_arrow(row) for row in value.get("counterfactuals") or ()],
            media={modality: value.get(column) or () for modality, column in MEDIA.items()},
            borrowed={modality: value.get(f"twin_{column}") or () for modality, column in MEDIA.items()},
            dataset=value.get("dataset") or "",
            row=value.get("row", -1),
            clip=None if clip == NO_CLIP else clip,
            key=value.get("key") or 0,
            relevant=value.get("relevant") or 0,
            choices=tuple(value.get("choices") or ()),
            answer=None if answer == NO_ANSWER else answer,
            abstention=value.get("abstention") or None,
            option_ids=value.get("option_ids") or (),
            option_lengths=value.get("option_lengths") or (),
            rejected_ids=value.get("rejected_ids") or (),
            withheld_ids=value.get("withheld_ids") or (),
        )

    def to_arrow(self) -> dict[str, Any]:
        """The row of a tokenized dataset; see `schema.tokenized` for the types."""
        return {
            **self.clean.to_arrow(),
            "attention_mask": [1] * len(self.clean.input_ids),
            **{column: list(self.media[modality]) or None for modality, column in MEDIA.items()},
            **{f"twin_{column}": list(self.borrowed[modality]) or None for modality, column in MEDIA.items()},
            "choices": list(self.choices),
            "answer": NO_ANSWER if self.answer is None else self.answer,
            "target": self.clean.target or "",
            "abstention": self.abstention or "",
            "option_ids": self.option_ids,
            "option_lengths": self.option_lengths,
            "rejected_ids": self.rejected_ids,
            "withheld_ids": self.withheld_ids,
            "variants": list(map(_named, self.variants)),
            "counterfactuals": list(map(_named, self.counterfactuals)),
            "relevant": self.relevant,
            "key": self.key,
            "dataset": self.dataset,
            "row": self.row,
            "clip": NO_CLIP if self.clip is None else self.clip,
            "dropped": None if self.dropped is None else self.dropped.to_arrow(),
            "dropped_twins": [reason.to_arrow() for reason in self.dropped_twins],
            "remarks": [reason.to_arrow() for reason in self.remarks],
        }


def _named(row: TokenizedRow) -> dict[str, Any]:
    """An item of `variants` or of `counterfactuals`."""
    return row.to_arrow() | {
        "perturbation": row.perturbation,
        "target": row.target or "",
        "family": row.family or "",
        "claimed_ids": list(row.claimed_ids),
    }
