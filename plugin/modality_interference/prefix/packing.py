"""The text decoder's keyword arguments for rows in one sequence."""

from typing import Any

import torch
from torch import Tensor

from ..attention.interface import ROW_ATTENTION, surround
from .attention import RowAttention


VISUAL_MASK = "visual_pos_masks"
DEEPSTACK = "deepstack_visual_embeds"


def pack(kwargs: dict[str, Any], attention: RowAttention) -> dict[str, Any]:
    """Lay the rows of a forward end to end.

    Args:
        kwargs: the decoder's, for all rows: `inputs_embeds` (rows, columns, hidden) and what else its family takes.
        attention: of these rows.

    Returns:
        the decoder's, for one row that is the sequence.
    """
    surround()
    places = attention.rows.places
    shape = kwargs["inputs_embeds"].shape[:2]
    packed: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key == DEEPSTACK and value is not None:
            packed[key] = _visual(value, kwargs[VISUAL_MASK], places)
        elif isinstance(value, Tensor) and value.shape[:2] == shape:
            packed[key] = value.flatten(0, 1).index_select(0, places)[None]
        else:
            packed[key] = value

    packed["position_ids"] = _positions(kwargs.get("position_ids"), places, shape)
    packed["attention_mask"] = _masks(kwargs.get("attention_mask"), places.device)
    if isinstance(kwargs.get("cache_position"), Tensor):
        packed["cache_position"] = torch.arange(len(places), device=places.device)

    return {**packed, ROW_ATTENTION: attention}


def _positions(positions: Tensor | None, places: Tensor, shape: tuple[int, int]) -> Tensor:
    """(1, sequence) or (axes, 1, sequence)."""
    if positions is None:  # what decoders make by themselves: the column
        return (places % shape[1])[None]

    flat = positions.expand(*positions.shape[:-2], *shape).flatten(-2)
    return flat.index_select(-1, places).unsqueeze(-2)


def _masks(masks: Any, device: torch.device) -> Any:
    """The family's masks of its rows where it made any; otherwise one that no attention function but ours would take.

    transformers takes a mask of four dimensions for one that is ready, and makes none.
    """
    if isinstance(masks, dict):
        return {key: _masks(mask, device) for key, mask in masks.items()}

    if isinstance(masks, Tensor) and masks.dim() == 4:
        return masks

    return torch.empty(1, 1, 0, 0, dtype=torch.bool, device=device)


def _visual(layers: list[Tensor], mask: Tensor, places: Tensor) -> list[Tensor]:
    """Of each layer's visual tokens (visual tokens of all rows, hidden) those of the sequence."""
    numbers = mask.flatten().cumsum(0) - 1
    kept = places[mask.flatten()[places]]
    return [layer.index_select(0, numbers[kept]) for layer in layers]
