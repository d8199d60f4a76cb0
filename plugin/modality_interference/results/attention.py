"""What the model attends to: shares of attention, and how they differ between kinds of prompts."""

from typing import Literal

from pydantic import Field, model_validator

from .rates import Estimate, Share
from .rows import Result


class AttentionCalibration(Result):
    """What was added to the model's own attention scores (`attention_calibration`).

    Attributes:
        constant: in nats.
        tokens: whose scores it was added to: those of media that the answers depend on, or of the others.
        layers: of the text decoder, as the recipe names them.
    """

    constant: float = Field(allow_inf_nan=False)
    tokens: Literal["relevant", "irrelevant"]
    layers: str

    def __str__(self) -> str:
        return f"{self.constant:+g} nats on {self.tokens} media tokens, layers {self.layers}"


class AttentionShares(Result):
    """What the position that decides the answer attends to, on average over the rows of one condition.

    Attributes:
        dataset: name in `dataset_info.json`.
        kind: what the answers depend on, the kind of prompt.
        perturbation: its label, `clean` for the clean rows.
        rows: how many rows.
        layers: share of every group of tokens by layer, averaged over heads: as many as `AttentionProfile.groups`.
        heads: the same by layer and head.
    """

    dataset: str
    kind: str
    perturbation: str
    rows: int = Field(ge=1)
    layers: list[list[Share]]
    heads: list[list[list[Share]]]


class AttentionContrast(Result):
    """How much more a modality is attended to when the prompt asks for it.

    Attributes:
        modality: whose tokens are attended to; of rows that have some.
        asked: kind of the prompts that ask for it.
        other: kind of the prompts that it is compared with.
        condition: which rows are compared: `clean` ones, of clips those whose frames and audio are of one class; `misaligned`
            clips, where they are not; or `all`, twins too, where one kind of prompts has the modality in twins alone.
        asked_rows: how many rows of the first kind.
        other_rows: how many of the second.
        layers: Cohen's d by layer, above 0 where prompts that ask for the modality draw more attention to it; None where
            it is not defined (one row, or rows that do not differ).
    """

    modality: str
    asked: str
    other: str
    condition: Literal["clean", "misaligned", "all"]
    asked_rows: int = Field(ge=1)
    other_rows: int = Field(ge=1)
    layers: list[Estimate[float | None]]


class AttentionProfile(Result):
    """The part of a diagnosis about attention (`attention_probe: true`).

    Attributes:
        groups: of tokens: text, image, video, audio, special (template tokens); those that the rows have.
        conditions: shares by dataset, kind of prompt and perturbation.
        contrasts: between kinds of prompts.
    """

    groups: list[str]
    conditions: list[AttentionShares]
    contrasts: list[AttentionContrast]

    @model_validator(mode="after")
    def _is_rectangular(self) -> "AttentionProfile":
        depth, width = len(self.conditions[0].layers) if self.conditions else 0, len(self.groups)
        for condition in self.conditions:
            rows = [*condition.layers, *(row for layer in condition.heads for row in layer)]
            if (
                len(condition.layers) != depth
                or len(condition.heads) != depth
                or any(len(row) != width for row in rows)
            ):
                raise ValueError(
                    "conditions must have as many layers as each other and as many shares as there are groups"
                )

        if any(len(contrast.layers) != depth for contrast in self.contrasts):
            raise ValueError("contrasts must have as many layers as the conditions")

        return self
