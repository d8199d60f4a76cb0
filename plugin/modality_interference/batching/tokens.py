"""Which token ids represent media, which belong to the template, and which an adversarial copy may change."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..modality import IGNORE_LABEL, Modality


if TYPE_CHECKING:
    from torch import Tensor

    from .example import TokenizedRow


@dataclass(frozen=True)
class ModalityTokens:
    """Token ids that represent media, and those that belong to no modality.

    Attributes:
        media: the placeholder id of each media modality that the model has.
        special: ids of the template (turn markers, padding, vision start and end), which are never perturbed.
    """

    media: dict[Modality, int] = field(default_factory=dict)
    special: frozenset[int] = frozenset()

    def bits(self, input_ids: "Tensor", attention_mask: "Tensor", rows: "Sequence[TokenizedRow]" = ()) -> "Tensor":
        """The modality bit of every token, 0 for template tokens and padding.

        The medium that has made a token decides, not the token's id: InternVL writes image tokens for the frames of a video.

        Args:
            input_ids: (rows, tokens) integers.
            attention_mask: (rows, tokens), 0 on padding.
            rows: the same rows. Without them, and for rows that were tokenized without the plugin, the ids decide.

        Returns:
            (rows, tokens) int8.
        """
        import torch

        special = torch.tensor(sorted(self.special), dtype=input_ids.dtype, device=input_ids.device)
        result = torch.where(torch.isin(input_ids, special), 0, Modality.TEXT.bit)
        for modality, token_id in self.media.items():
            result = torch.where(input_ids == token_id, modality.bit, result)

        for index, row in enumerate(rows):
            offset = int(attention_mask[index].argmax())  # other than 0 where rows are padded on the left
            for bit, first, length in row.media_runs:
                result[index, offset + first : offset + first + length] = bit

        return torch.where(attention_mask.bool(), result, 0).to(torch.int8)


def perturbation_mask(
    token_modality: "Tensor", attention_mask: "Tensor", labels: "Tensor", relevant: "Tensor", prompt_start: "Tensor"
) -> "Tensor":
    """The tokens that an adversarial copy may change.

    True on tokens of irrelevant modalities that are neither padding nor labels nor special tokens of the template, and that come
    after the start of the first turn: the system prompt is the same in every row and cannot interfere. (The code of arXiv
    2505.19616 perturbs all non-visual or all visual tokens.) So a copy has a prefix in common with its row: where the image comes
    first, it is computed once for both.

    Args:
        token_modality: (rows, tokens) of `ModalityTokens.bits`.
        attention_mask: (rows, tokens), 0 on padding (and on LLaMA-Factory's dummy media).
        labels: (rows, tokens), `IGNORE_LABEL` where there is none.
        relevant: (rows,) relevant sets as bits; rows with 0 (plain) get an empty mask.
        prompt_start: (rows,) how many tokens of a row come before its first turn.

    Returns:
        (rows, tokens) booleans.
    """
    bits = token_modality.long()
    irrelevant = (bits > 0) & ((bits & relevant[:, None]) == 0) & (relevant[:, None] > 0)
    in_turns = attention_mask.cumsum(dim=1) > prompt_start[:, None]
    return irrelevant & in_turns & attention_mask.bool() & (labels == IGNORE_LABEL)


def modality_tokens(tokenizer: Any, processor: Any, template: Any) -> ModalityTokens:
    """Read the token ids from the Hugging Face processor and LLaMA-Factory's template.

    Args:
        tokenizer: the tokenizer.
        processor: the multimodal processor, None for text models.
        template: LLaMA-Factory's template, whose `mm_plugin` names the media tokens.
    """
    media = {}
    for modality in (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO):
        token_id = _media_token(modality.value, tokenizer, processor, template.mm_plugin)
        if token_id is not None:
            media[modality] = token_id

    special = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    return ModalityTokens(media, frozenset(special - set(media.values())))


def _media_token(name: str, tokenizer: Any, processor: Any, mm_plugin: Any) -> int | None:
    if name == Modality.IMAGE and hasattr(
        processor, "img_patch_token"
    ):  # Llama 4's `image_token` is one of its separators
        return tokenizer.convert_tokens_to_ids(processor.img_patch_token)

    token_id = getattr(processor, f"{name}_token_id", None)  # what the processor writes into the text
    if isinstance(token_id, int):
        return token_id

    token = getattr(mm_plugin, f"{name}_token", None)
    token_id = tokenizer.convert_tokens_to_ids(token) if token else None
    return token_id if token_id != tokenizer.unk_token_id else None


def closing_tokens(tokenizer: Any, template: Any) -> tuple[int, ...]:
    """The tokens that a template writes between a question and its answer, such as `<|im_end|>` and the assistant's role.

    Args:
        tokenizer: the model's.
        template: LLaMA-Factory's.
    """
    prompts = []
    for question in ("0", "?"):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": ""}]
        prompts.append(template.encode_oneturn(tokenizer, turns)[0][::-1])

    return tuple(os.path.commonprefix(prompts)[::-1])
