"""A small byte-level BPE tokenizer for the demos' models."""

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast


VOCABULARY = 1024


def build_tokenizer(texts: Iterable[str], special_tokens: Sequence[str], **roles: Any) -> PreTrainedTokenizerFast:
    """Train a tokenizer: frequent words are one token each, and whatever else there is falls back to bytes.

    Args:
        texts: what it shall encode in few tokens.
        special_tokens: all special tokens.
        roles: which special token has which role, for `PreTrainedTokenizerFast`.
    """
    tokenizer = Tokenizer(models.BPE())
    # As in Qwen's tokenizer a digit is a token without the space before it, so that it is the same token everywhere.
    words = Regex(r" ?\p{L}+|\p{N}|[^\s\p{L}\p{N}]+ (?=\p{N})| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        **roles,
    )
