"""How a position's attention falls on text, pictures, clips and sounds."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..modality import Modality
from .interface import AttentionInputs
from .scores import Queries, attention_scores


SPECIAL = "special"  # template tokens
GROUPS = (*(modality.value for modality in Modality), SPECIAL)


def group_weights(token_modality: Tensor) -> Tensor:
    """One-hot groups of tokens.

    Args:
        token_modality: (rows, tokens) modality bits, 0 for template tokens and padding.

    Returns:
        (rows, tokens, groups) float32, in the order of `GROUPS`.
    """
    bits = torch.tensor([*(modality.bit for modality in Modality), 0], device=token_modality.device)
    return (token_modality[..., None].long() == bits).float()


@dataclass
class ShareProbe:
    """A listener that measures which share of its attention a position pays to every group of tokens.

    Attributes:
        queries: one position of each chosen row.
        groups: (chosen, tokens, groups) see `group_weights`.
        layers: (chosen, heads, groups) of every layer heard so far, by the layer's number.
    """

    queries: Queries
    groups: Tensor
    layers: dict[int, Tensor] = field(default_factory=dict)

    def hear(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Reduce a layer's attention to sums at once."""
        with torch.no_grad():
            attention = torch.softmax(attention_scores(inputs, self.queries), dim=-1)[:, :, 0]
            # not as a matrix product, which `tf32: true` would round
            groups = self.groups.to(attention.dtype)[:, None].unbind(-1)
            self.layers[inputs.layer] = torch.stack([(attention * group).sum(-1) for group in groups], dim=-1)

        return output

    def shares(self) -> Tensor:
        """(chosen, layers, heads, groups) of all layers; each adds up to 1."""
        return torch.stack([self.layers[layer] for layer in sorted(self.layers)], dim=1)
