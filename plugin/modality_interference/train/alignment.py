"""The alignment loss: an answer's attention shall fall on the modality that the answer depends on.

For every row whose media tokens are partly relevant and partly not: the mean over heads and chosen layers of -log(attention on
relevant media tokens / attention on all media tokens), at the position that decides the answer (`TwinBatch.decision`). The aim is that of modality alignment tuning (arXiv
2511.22826), whose authors measure attention but train on answers only.

The loss is computed layer by layer inside the attention function (see `attention/interface.py`). Gradient checkpointing may run
a layer without a graph, and again during the backward pass. So no term leaves its layer as part of the graph: the values are
summed outside of it, and each term is attached to its layer's attention output, through which its gradient arrives.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..arguments import PluginArguments, parse_layers
from ..attention.interface import AttentionInputs, with_listener
from ..attention.scores import Queries, attention_scores
from ..batching.batch import TwinBatch
from ..errors import ModalityInterferenceError
from ..modality import Modality, to_bits


MEDIA = to_bits(modality for modality in Modality if modality is not Modality.TEXT)


def aligned_rows(batch: TwinBatch) -> Tensor:
    """(aligned rows,) indices of the clean rows and twins with an answer and both relevant and irrelevant media tokens."""
    relevant, irrelevant = media_tokens(batch)
    return torch.nonzero(relevant.any(dim=1) & irrelevant.any(dim=1) & batch.answered & batch.trained)[:, 0]


def chosen_layers(arguments: PluginArguments, decoder: Any) -> list[int]:
    """The layers of the text decoder whose attention counts.

    Raises:
        ModalityInterferenceError: naming the key and the number of layers.
    """
    return parse_layers("alignment_layers", arguments.alignment_layers, decoder.config.num_hidden_layers)


class Alignment:
    """Observes the attention of the training forward of one batch.

    Args:
        batch: clean rows and twins.
        layers: see `chosen_layers`.
    """

    def __init__(self, batch: TwinBatch, layers: Sequence[int]) -> None:
        rows = aligned_rows(batch)
        relevant, irrelevant = media_tokens(batch)
        self.rows = len(rows)
        self.layers = layers
        self.queries = Queries(rows, batch.decision[rows][:, None])
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
        """The text decoder's keyword arguments for a forward of the batch's rows, which others may follow."""
        return with_listener(kwargs, self)

    def observe(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Compute a layer's term and attach it to the layer's attention output."""
        if inputs.layer not in self.layers:
            return output

        term = self._term(inputs)
        self._terms[inputs.layer] = term.detach()  # the same value again when checkpointing repeats the layer
        return _AttachTerm.apply(output, term, self)

    def measured(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's sum over rows, as part of the graph.

        Args:
            logits: of the forward that was observed.

        Returns:
            the logits, which every gradient passes before it reaches the layers, and the sum over rows (a scalar).

        Raises:
            ModalityInterferenceError: not every chosen layer was observed.
        """
        if len(self._terms) != len(self.layers):
            raise ModalityInterferenceError(
                f"`alignment_weight` could observe {len(self._terms)} of {len(self.layers)} layers: the others do not compute "
                "their attention through transformers' attention interface. Set `alignment_weight: 0`."
            )

        return _KeepGradient.apply(logits, torch.stack(list(self._terms.values())).mean(), self)

    def _term(self, inputs: AttentionInputs) -> Tensor:
        """Sum over rows of the mean over heads."""
        scores = attention_scores(inputs, self.queries)
        visible = scores > float("-inf")
        # a position whose sliding window holds relevant media only, or none, has nothing to choose between
        choice = (visible & self.relevant).any(dim=-1) & (visible & (self.media & ~self.relevant)).any(dim=-1)
        relevant, media = (
            scores.masked_fill(~tokens & choice[..., None], float("-inf")).logsumexp(dim=-1)
            for tokens in (self.relevant, self.media)
        )
        return torch.where(choice, media - relevant, 0).mean(dim=1).sum()  # of (rows, heads, 1 query)


def media_tokens(batch: TwinBatch) -> tuple[Tensor, Tensor]:
    """(rows, tokens) booleans: media tokens of relevant modalities, and those of the others."""
    bits = batch.token_modality.long() & MEDIA
    relevant = (bits & batch.relevant[:, None]) > 0
    return relevant, (bits > 0) & ~relevant


class _AttachTerm(torch.autograd.Function):
    """Returns the attention output unchanged; its backward pass gives the term the gradient of the loss."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, term: Tensor, alignment: Alignment) -> Tensor:
        ctx.alignment, ctx.dtype = alignment, term.dtype
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        alignment: Alignment = ctx.alignment
        assert alignment.gradient is not None  # every gradient passes the logits, so `_KeepGradient` has set it
        return gradient, (alignment.gradient / len(alignment.layers)).to(ctx.dtype), None


class _KeepGradient(torch.autograd.Function):
    """Returns the logits and the sum unchanged; its backward pass keeps the sum's gradient for the layers."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, total: Tensor, alignment: Alignment) -> tuple[Tensor, Tensor]:
        ctx.alignment = alignment
        return logits.view_as(logits), total.clone()

    @staticmethod
    def backward(ctx: Any, logits: Tensor, total: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        ctx.alignment.gradient = total
        return logits, None, None
