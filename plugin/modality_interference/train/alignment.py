"""The alignment loss: answers shall look at the modality that they depend on.

For every row whose media tokens are partly relevant and partly not: the mean over answer positions, heads and chosen layers of
-log(attention on relevant media tokens / attention on all media tokens). The aim is that of modality alignment tuning (arXiv
2511.22826), whose authors measure attention but train on answers only.

The loss is made layer by layer inside of the attention function (see `attention/interface.py`), where gradient checkpointing
may run without a graph, and once more during the backward pass. So no layer's term leaves its layer as part of the graph: the
values are added up apart, and every term hangs on its layer's attention output, which brings it its gradient.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arguments import PluginArguments, parse_layers
from ..attention.interface import AttentionInputs, listen_in
from ..attention.scores import Queries, attention_scores
from ..batching.batch import TwinBatch
from ..errors import ModalityInterferenceError
from ..modality import Modality, to_bits


MEDIA = to_bits(modality for modality in Modality if modality is not Modality.TEXT)


def aligned_rows(batch: TwinBatch) -> Tensor:
    """(aligned rows,) indices of the clean rows and twins with an answer and both relevant and irrelevant media tokens."""
    relevant, irrelevant = _media_tokens(batch)
    return torch.nonzero(relevant.any(dim=1) & irrelevant.any(dim=1) & batch.answered)[:, 0]


def chosen_layers(arguments: PluginArguments, decoder: Any) -> list[int]:
    """The layers of the text decoder whose attention counts.

    Raises:
        ModalityInterferenceError: naming the key and the number of layers.
    """
    return parse_layers(arguments.alignment_layers, decoder.config.num_hidden_layers)


class Alignment:
    """Listens to the training forward of one batch.

    Args:
        batch: clean rows and twins.
        layers: whose attention counts.
    """

    def __init__(self, batch: TwinBatch, layers: Sequence[int]) -> None:
        rows = aligned_rows(batch)
        relevant, irrelevant = _media_tokens(batch)
        self.rows = len(rows)
        self.layers = layers
        self.queries = Queries.at(rows, batch.answer_positions)
        self.relevant = relevant[rows][:, None, None]
        self.media = (relevant | irrelevant)[rows][:, None, None]
        self.gradient: Tensor | None = None
        self._terms: dict[int, Tensor] = {}

    @classmethod
    def of(cls, batch: TwinBatch, arguments: PluginArguments, layers: Sequence[int]) -> "Alignment | None":
        """The listener that the recipe asks for; None where it asks for none, or no row of the batch counts.

        Args:
            batch: clean rows and twins.
            arguments: of the recipe.
            layers: see `chosen_layers`.
        """
        if not arguments.alignment_on or not len(aligned_rows(batch)):
            return None

        return cls(batch, layers)

    def edit(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The text decoder's keyword arguments for a forward of the batch's rows and, behind them, any others."""
        return listen_in(kwargs, self)

    def hear(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Compute a layer's term and hang it on the layer's attention output."""
        if inputs.layer not in self.layers:
            return output

        term = self._term(inputs)
        self._terms[inputs.layer] = term.detach()  # the same again where checkpointing runs the layer anew
        return _Hang.apply(output, term, self)

    def measured(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's sum over rows, as part of the graph.

        Args:
            logits: of the forward that was listened to.

        Returns:
            the logits, through which every gradient has to go before it reaches the layers, and the sum over rows.

        Raises:
            ModalityInterferenceError: not every chosen layer was heard.
        """
        if len(self._terms) != len(self.layers):
            raise ModalityInterferenceError(
                f"`alignment_weight` heard {len(self._terms)} of {len(self.layers)} layers: the others do not compute their "
                "attention by transformers' attention interface. Set `alignment_weight: 0`."
            )

        return _Tie.apply(logits, torch.stack(list(self._terms.values())).mean(), self)

    def _term(self, inputs: AttentionInputs) -> Tensor:
        """Sum over rows of the mean over answer positions and heads."""
        scores = attention_scores(inputs, self.queries)
        visible = scores > float("-inf")
        # where a sliding window shows a position relevant media only, or none, it has nothing to choose from
        choice = (visible & self.relevant).any(dim=-1) & (visible & (self.media & ~self.relevant)).any(dim=-1)
        relevant, media = (
            scores.masked_fill(~tokens & choice[..., None], float("-inf")).logsumexp(dim=-1)
            for tokens in (self.relevant, self.media)
        )
        losses = torch.where(choice, media - relevant, 0).mean(dim=1)  # over heads: (rows, queries)
        present = self.queries.present.to(losses.dtype)
        return ((losses * present).sum(dim=1) / present.sum(dim=1)).sum()


def _media_tokens(batch: TwinBatch) -> tuple[Tensor, Tensor]:
    """(rows, tokens) booleans: media tokens of relevant modalities, and those of the others."""
    bits = batch.token_modality.long() & MEDIA
    relevant = (bits & batch.relevant[:, None]) > 0
    return relevant, (bits > 0) & ~relevant


class _Hang(torch.autograd.Function):
    """Gives the attention output back as it is; its backward pass sends the term the loss's gradient."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, term: Tensor, alignment: Alignment) -> Tensor:
        ctx.alignment, ctx.dtype = alignment, term.dtype
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        alignment: Alignment = ctx.alignment
        assert alignment.gradient is not None  # `_Tie` comes first: every gradient passes the logits
        return gradient, (alignment.gradient / len(alignment.layers)).to(ctx.dtype), None


class _Tie(torch.autograd.Function):
    """Gives the logits and the sum back as they are; its backward pass keeps the sum's gradient for the layers."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, total: Tensor, alignment: Alignment) -> tuple[Tensor, Tensor]:
        ctx.alignment = alignment
        return logits.view_as(logits), total.clone()

    @staticmethod
    def backward(ctx: Any, logits: Tensor, total: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        ctx.alignment.gradient = total
        return logits, None, None
