"""Which token ids stand for media, and which belong to the template."""

from typing import Any

from ..modality import Modality, ModalityTokens


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
    token_id = getattr(processor, f"{name}_token_id", None)  # what the processor writes into the text
    if isinstance(token_id, int):
        return token_id

    token = getattr(mm_plugin, f"{name}_token", None)
    token_id = tokenizer.convert_tokens_to_ids(token) if token else None
    return token_id if token_id != tokenizer.unk_token_id else None
