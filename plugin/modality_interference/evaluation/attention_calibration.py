"""A constant on the attention scores between an answer's positions and media tokens, while a trained model is evaluated.

In the chosen layers, the scores that the answer's positions give to media tokens of relevant modalities (or of irrelevant ones) get
a constant c before the softmax, in every head: a share s of a position's attention becomes s e^c / (1 - s + s e^c). Kin is PAI (Liu
et al., arXiv 2407.21771), which adds a multiple of the score's own size to image tokens at the last position; a constant acts
alike on scores of both signs. arXiv 2511.22826 is described as calibrating cross-modal attention during inference.

The answer's positions are those from `TwinBatch.decision` on, of a prompt that is continued from its last one on. All others keep
the model's own attention. So only few rows of the attention map change: they are computed anew behind the model's own attention
function, whichever kernel that uses, with the keys and values that it got (see `attention/interface.py`).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ..attention.interface import LISTENER, AttentionInputs, Listener, ScoreBias, with_listener
from ..attention.scores import Queries, with_attention
from ..batching.batch import TwinBatch
from ..errors import ModalityInterferenceError
from ..train.alignment import media_tokens


class CalibratedAttention:
    """Changes the attention in the forwards of one batch.

    Args:
        batch: clean rows and twins, and rows that hold further options.
        constant: c, in nats.
        tokens: whose scores get it.
        layers: in which layers, from 0.
        continued: whether the rows are prompts, padded on the left, which the model continues; otherwise they hold answers.
    """

    def __init__(
        self,
        batch: TwinBatch,
        constant: float,
        tokens: Literal["relevant", "irrelevant"],
        layers: list[int],
        continued: bool,
    ) -> None:
        relevant, irrelevant = media_tokens(batch)
        # of a row without a relevant set nothing is known
        chosen = (relevant if tokens == "relevant" else irrelevant) & (batch.relevant > 0)[:, None]
        self.bias = ScoreBias(constant, chosen, batch.decision)
        self.layers = layers
        self.reached: set[int] = set()
        self._batch = batch
        self._scored = chosen.any(dim=1) & (batch.last_answer.any(dim=1) | continued)
        self._idle = not self._scored.any()  # asked once, not in every forward

    @cached_property
    def queries(self) -> Queries:
        """The answers' positions in a forward of all rows; a row with fewer than others repeats its last one."""
        rows = torch.nonzero(self._scored)[:, 0]
        answer, start = self._batch.last_answer[rows], self.bias.start[rows]
        columns = torch.arange(answer.shape[1], device=answer.device)
        end = torch.where(answer.any(dim=1), torch.where(answer, columns, 0).amax(dim=1), start)
        steps = columns[: int((end - start).max()) + 1] if len(rows) else columns[:1]
        return Queries(rows, torch.minimum(start[:, None] + steps, end[:, None]))

    @property
    def marks(self) -> Tensor:
        """(rows, columns) two tokens that are otherwise the same attend alike where these numbers are equal; see `CommonPrefixes`."""
        behind = torch.arange(self._batch.labels.shape[1], device=self.bias.start.device) >= self.bias.start[:, None]
        return torch.where(behind & self._scored[:, None], 1 + self._batch.relevant[:, None], 0)

    def edit(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The text decoder's keyword arguments; a listener that they already have sees the changed attention.

        Raises:
            ModalityInterferenceError: the forward has neither all tokens of the batch nor those that follow them.
        """
        if self._idle:
            return kwargs

        cache, count = kwargs.get("past_key_values"), kwargs["inputs_embeds"].shape[1]
        past, columns = int(cache.get_seq_length()) if cache is not None else 0, self._batch.labels.shape[1]
        if past >= columns:
            rows = self.queries.rows
            queries = Queries(rows, torch.arange(count, device=rows.device).expand(len(rows), -1))
        elif past == 0 and count == columns:
            queries = self.queries
        else:
            raise ModalityInterferenceError(
                f"`attention_calibration` needs a prompt of {columns} tokens in one forward; this one has {count} of them behind "
                f"{past} others. Remove `prefill_chunk_size` from generation_config.json, and adapters with virtual tokens."
            )

        return with_listener(kwargs, _Forward(self, past, queries, kwargs.get(LISTENER)))

    def check(self) -> None:
        """Make sure that nothing was left out.

        Raises:
            ModalityInterferenceError: not every chosen layer computes its attention by transformers' attention interface.
        """
        missed = sorted(set(self.layers) - self.reached)
        if missed and not self._idle:
            raise ModalityInterferenceError(
                f"`attention_calibration` reached {len(self.layers) - len(missed)} of {len(self.layers)} layers: "
                f"{', '.join(map(str, missed))} do not compute their attention by transformers' attention interface. Name other "
                "`attention_calibration_layers`, or use `flash_attn: sdpa`."
            )


@dataclass(frozen=True)
class _Forward:
    """A listener that changes the attention of one forward, and shows what it made of it to another one."""

    calibrated: CalibratedAttention
    past: int
    queries: Queries
    inner: Listener | None

    def observe(self, inputs: AttentionInputs, output: Tensor) -> Tensor:
        """Change a chosen layer's output at the answers' positions."""
        if inputs.layer in self.calibrated.layers:
            self.calibrated.reached.add(inputs.layer)
            inputs = replace(inputs, past=self.past, bias=self.calibrated.bias)
            output = with_attention(output, inputs, self.queries)

        return output if self.inner is None else self.inner.observe(inputs, output)
