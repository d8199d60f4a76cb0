"""What is known of a row beside LLaMA-Factory's columns: the struct column `_twins` of aligned datasets.

`TwinRecord.to_arrow` is the only place that writes it, `TwinRecord.from_arrow` the only one that reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Unusable
from ..modality import MEDIA
from .sample import Message, References, no_media


LAYOUT = 9  # of `_twins` and of tokenized datasets; in pickles, so that `datasets` remakes caches of another layout
ROW = "_row"  # the column that says which row of the file a raw row is, whatever was sampled from it
INVALID_TEXT = "_invalid_text"  # the column that marks rows whose text is not UTF-8, see `schema.mark_invalid_text`
MAX_REASON = 600  # characters of a reason's kind or detail


@dataclass(frozen=True)
class Reason:
    """Why a row or a twin cannot be used.

    Attributes:
        kind: a short stable name, by which dropped rows are counted.
        detail: what was found, and what to do; "" where the kind says it all.
    """

    kind: str
    detail: str = ""

    @classmethod
    def of(cls, error: Unusable, prefix: str = "") -> "Reason":
        """The reason of an error, as Arrow can hold it, whatever a third party's format has put into it."""
        texts = (f"{prefix}{error.kind}", error.detail)
        return cls(*(text[:MAX_REASON].encode("utf-8", "backslashreplace").decode() for text in texts))

    @classmethod
    def from_arrow(cls, value: Mapping[str, str] | None) -> "Reason | None":
        """Read a cell; None where there is no reason."""
        return None if value is None else cls(value["kind"], value["detail"])

    def to_arrow(self) -> dict[str, str]:
        """The cell."""
        return {"kind": self.kind, "detail": self.detail}

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


@dataclass(frozen=True)
class Variant:
    """A twin or a counterfactual row of a row, before it is tokenized.

    Attributes:
        perturbation: its label.
        prompt: the turns before the answer.
        system: the system prompt.
        media: for image, video and audio, a reference for every placeholder.
        target: the wrong option, of a row without options the wrong answer, that the perturbation claims to be right.
        family: the family of texts that the perturbation took its words from, where it has several.
    """

    perturbation: str
    prompt: list[Message]
    system: str
    media: References
    target: str | None = None
    family: str | None = None

    @classmethod
    def from_arrow(cls, value: Mapping[str, Any]) -> "Variant":
        """Read one item of the record's `variants`."""
        return cls(
            value["perturbation"],
            value["prompt"],
            value["system"],
            _references_of(value),
            value["target"],
            value["family"],
        )

    def to_arrow(self) -> dict[str, Any]:
        """The item."""
        return {
            "perturbation": self.perturbation,
            "prompt": self.prompt,
            "system": self.system,
            **_reference_columns(self.media),
            "target": self.target,
            "family": self.family,
        }


@dataclass(frozen=True)
class TwinRecord:
    """What is known of a row.

    Attributes:
        dataset: the dataset's name.
        row: the row's index there; of the repeated row, where a row of the data is asked several questions.
        key: the row's key, see `row_key`.
        clip: the index of the row of the data, where it is asked several questions.
        relevant: the relevant set as bits, 0 where nothing is known.
        choices: the options, empty where the answer is free.
        answer: the index of the right option.
        target: the class of the modality that is not asked about, where the row's own clip shows one thing and sounds like
            another.
        abstention: the option that says that one cannot tell, where the row offers one.
        media: for image, video and audio, a reference for every placeholder of the prompt.
        variants: the row's twins.
        counterfactuals: its rows without the evidence; never among `variants`, as their answer is not to be kept.
        dropped: why the row cannot be used.
    """

    dataset: str
    row: int
    key: int
    clip: int | None = None
    relevant: int = 0
    choices: tuple[str, ...] = ()
    answer: int | None = None
    target: str | None = None
    abstention: str | None = None
    media: References = field(default_factory=no_media)
    variants: tuple[Variant, ...] = ()
    counterfactuals: tuple[Variant, ...] = ()
    dropped: Reason | None = None

    @property
    def data_row(self) -> int:
        """The row of the data that this one comes from: `clip` where several questions are asked about one, else `row`."""
        return self.row if self.clip is None else self.clip

    @classmethod
    def from_arrow(cls, value: Mapping[str, Any]) -> "TwinRecord":
        """Read a cell of the column `_twins`."""
        return cls(
            dataset=value["dataset"],
            row=value["row"],
            key=value["key"],
            clip=value["clip"],
            relevant=value["relevant"],
            choices=tuple(value["choices"]),
            answer=value["answer"],
            target=value["target"],
            abstention=value["abstention"],
            media=_references_of(value),
            variants=tuple(map(Variant.from_arrow, value["variants"])),
            counterfactuals=tuple(map(Variant.from_arrow, value["counterfactuals"])),
            dropped=Reason.from_arrow(value["dropped"]),
        )

    def to_arrow(self) -> dict[str, Any]:
        """The cell."""
        return {
            "dataset": self.dataset,
            "row": self.row,
            "key": self.key,
            "clip": self.clip,
            "relevant": self.relevant,
            "choices": list(self.choices),
            "answer": self.answer,
            "target": self.target,
            "abstention": self.abstention,
            **_reference_columns(self.media),
            "variants": [variant.to_arrow() for variant in self.variants],
            "counterfactuals": [variant.to_arrow() for variant in self.counterfactuals],
            "dropped": None if self.dropped is None else self.dropped.to_arrow(),
        }


def _references_of(value: Mapping[str, Any]) -> References:
    return {modality: tuple(value[column]) for modality, column in MEDIA.items()}


def _reference_columns(media: References) -> dict[str, list[str]]:
    return {column: list(media[modality]) for modality, column in MEDIA.items()}
