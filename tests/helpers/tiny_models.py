"""Tiny random vision-language models, one per family, that stock LLaMA-Factory loads and trains on a CPU.

Nothing is downloaded. `build("qwen2_vl", folder)` makes a model, a byte-level tokenizer and a processor, and saves
them as a checkpoint folder for `model_name_or_path`. `FAMILIES` says what a test must know of each family that reads
images, `CLIP_FAMILIES` of those that are there for clips. Every model has two text layers of hidden size 32, about
600 tokens in its vocabulary and 4 to 16 tokens per image.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoModelForTextToWaveform,
    CLIPImageProcessor,
    Gemma3Config,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlavaConfig,
    LlavaNextConfig,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaNextVideoConfig,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLProcessor,
    Qwen2_5OmniConfig,
    Qwen2_5OmniProcessor,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeProcessor,
    Qwen3VLConfig,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    WhisperFeatureExtractor,
)


HIDDEN = 32
HEADS = 2
HEAD_DIM = HIDDEN // HEADS
LAYERS = 2
WEIGHT_STD = 0.2  # about 1 / sqrt(HIDDEN): activations neither vanish nor explode, so every input moves the output
VOCAB_SIZE = 600

SPLIT_PATTERN = r"'s|'t|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"  # Qwen2's, shortened
CORPUS = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: ASSISTANT:",
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
    "You are a helpful assistant. system user model assistant",
    "What is shown in the image? Which digit is shown? Answer with the letter of the right option.\nA. one\nB. two\n",
    "This picture seems to depict a seven. The answer is three. What is 10 plus 23? Not 345 but 33.",
    '{"question": "Which color is it?", "choices": ["red", "green", "blue"], "answer": 0}',
    "zero one two three four five six seven eight nine ten, red, green, blue, white, black, dog, cat",
)


@dataclass(frozen=True)
class Family:
    """A model family: how to build it, and what a test must know of it.

    Attributes:
        template: LLaMA-Factory's `template`.
        image_token: The token that the merged sequence holds once per image feature.
        vision_tower: Path of the vision module inside the model, for `model.get_submodule`.
        projector: Path of the module that maps vision features to the text model's width.
        builder: Makes the model's config and the processor for a tokenizer.
        special_tokens: The family's special tokens, apart from the named ones.
        named_tokens: Special tokens that the tokenizer knows by a role, such as `eos_token`.
        deepstack: Whether image features also enter between the text layers (`deepstack_visual_embeds`).
        mrope: Whether `position_ids` are 3-D, with the batch on dimension 1.
        needs_token_type_ids: Whether the model refuses to train without `token_type_ids`.
    """

    template: str
    image_token: str
    vision_tower: str
    projector: str
    builder: Callable[[PreTrainedTokenizerFast], tuple[PreTrainedConfig, ProcessorMixin]]
    special_tokens: tuple[str, ...] = ()
    named_tokens: dict[str, str] = field(default_factory=dict)
    deepstack: bool = False
    mrope: bool = False
    needs_token_type_ids: bool = False


def build(family: str, folder: Path, seed: int = 0) -> Path:
    """Build a family's tiny checkpoint below a folder, or find the one that an earlier call left there.

    Args:
        family: A key of `FAMILIES`, `CLIP_FAMILIES` or `rare_models.RARE_FAMILIES`.
        folder: Where checkpoints are kept; shared by all families and seeds, and safe to share between processes.
        seed: Seed of the weights.

    Returns:
        The checkpoint, for `model_name_or_path`.
    """
    checkpoint = Path(folder) / f"{family}-{seed}-{_recipe_digest()}"
    if not checkpoint.exists():
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=checkpoint.parent, prefix=".unfinished-"))
        _save_checkpoint(_families()[family], unfinished, seed)
        _publish(unfinished, checkpoint)
    return checkpoint


def _families() -> dict[str, Family]:
    from helpers.rare_models import RARE_FAMILIES  # which imports this file

    return FAMILIES | CLIP_FAMILIES | RARE_FAMILIES


def make_tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer with the family's special tokens on the built-in text."""
    special_tokens = [*family.named_tokens.values(), *family.special_tokens]
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=0,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in dict.fromkeys(special_tokens)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    standard = {"bos_token", "eos_token", "pad_token", "unk_token"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        extra_special_tokens={role: token for role, token in family.named_tokens.items() if role not in standard},
        **{role: token for role, token in family.named_tokens.items() if role in standard},
    )


def make_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """Make a model with random weights, none of them left at zero, without touching the global random state."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        autos = (AutoModelForTextToWaveform, AutoModelForImageTextToText, AutoModelForSeq2SeqLM)
        model = next(auto for auto in autos if type(config) in auto._model_mapping).from_config(
            config, dtype=torch.float32
        )
        for parameter in model.parameters():
            if not parameter.any():  # biases, and Gemma 3's projector, which would blind the model
                parameter.normal_(std=WEIGHT_STD)
    return model


def _save_checkpoint(family: Family, folder: Path, seed: int) -> None:
    tokenizer = make_tokenizer(family)
    config, processor = family.builder(tokenizer)
    make_model(config, seed).save_pretrained(folder)
    processor.save_pretrained(folder)
    if isinstance(config, OMNI_CONFIGS):
        torch.save({}, folder / "spk_dict.pt")  # the voices, without which transformers does not load the checkpoint


def _publish(unfinished: Path, checkpoint: Path) -> None:
    """Move a finished folder into place, unless another process was faster."""
    try:
        unfinished.rename(checkpoint)
    except OSError:
        if not checkpoint.exists():
            raise
        shutil.rmtree(unfinished)


def _recipe_digest() -> str:
    """Name what a checkpoint depends on, so that a kept folder never serves an outdated one."""
    recipes = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*_models.py")))
    return hashlib.sha256(recipes + transformers.__version__.encode()).hexdigest()[:8]


def text_config(tokenizer: PreTrainedTokenizerFast, **family_keys: Any) -> dict:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": WEIGHT_STD,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **family_keys,
    }


def vision_config(**family_keys: Any) -> dict:
    """Keys that CLIP, SigLIP and InternVL's vision model share."""
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "initializer_range": WEIGHT_STD,
        **family_keys,
    }


def _llava(tokenizer: PreTrainedTokenizerFast) -> tuple[LlavaConfig, LlavaProcessor]:
    """LLaVA-1.5: CLIP without its last layer, every image cut to 24 x 24 pixels and 9 tokens."""
    image_size, patch_size = 24, 8
    config = LlavaConfig(
        text_config=text_config(tokenizer, model_type="llama"),
        vision_config=vision_config(model_type="clip_vision_model", image_size=image_size, patch_size=patch_size),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(image_size // patch_size) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}),
        tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return config, processor


def _llava_next(tokenizer: PreTrainedTokenizerFast) -> tuple[LlavaNextConfig, LlavaNextProcessor]:
    """LLaVA-NeXT: a 16 x 16 view and 1 or 2 tiles, 4 tokens each, and a newline token per row of tile patches."""
    image_size, patch_size = 16, 8
    pinpoints = [[image_size, image_size], [image_size, 2 * image_size], [2 * image_size, image_size]]
    config = LlavaNextConfig(
        text_config=text_config(tokenizer, model_type="llama"),
        vision_config=vision_config(model_type="clip_vision_model", image_size=image_size, patch_size=patch_size),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=pinpoints,
        image_seq_length=(image_size // patch_size) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessor(
            size={"shortest_edge": image_size},
            crop_size={"height": image_size, "width": image_size},
            image_grid_pinpoints=pinpoints,
        ),
        tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return config, processor


def _internvl(tokenizer: PreTrainedTokenizerFast) -> tuple[InternVLConfig, InternVLProcessor]:
    """InternVL3: every image 16 x 16 pixels, 16 patches that pixel shuffling makes 4 tokens."""
    image_size, patch_size, image_tokens = 16, 4, 4
    size = {"height": image_size, "width": image_size}
    config = InternVLConfig(
        text_config=text_config(tokenizer, model_type="qwen2"),
        vision_config=vision_config(image_size=image_size, patch_size=patch_size),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=image_tokens,
        tie_word_embeddings=False,
    )
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer,
        InternVLVideoProcessor(size=size),
        image_seq_length=image_tokens,
    )
    return config, processor


def _gemma3(tokenizer: PreTrainedTokenizerFast) -> tuple[Gemma3Config, Gemma3Processor]:
    """Gemma 3: SigLIP, every image 16 x 16 pixels and 4 tokens; a sliding-window layer, then a full one; tied head."""
    image_size, image_tokens = 16, 4
    text = text_config(
        tokenizer,
        head_dim=HEAD_DIM,
        query_pre_attn_scalar=HEAD_DIM,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"],
    )
    config = Gemma3Config(
        text_config=text,
        vision_config=vision_config(image_size=image_size, patch_size=4, vision_use_head=False),
        mm_tokens_per_image=image_tokens,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
        initializer_range=WEIGHT_STD,
    )
    image_processor = Gemma3ImageProcessor(size={"height": image_size, "width": image_size})
    return config, Gemma3Processor(image_processor, tokenizer, image_seq_length=image_tokens)


def qwen_vision_config(**family_keys: Any) -> dict:
    return {"num_heads": HEADS, "patch_size": 8, "initializer_range": WEIGHT_STD, **family_keys}


def qwen_token_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def qwen_media_settings() -> dict:
    """Patches of 8 x 8 pixels, merged two by two, and images of 32 x 32 to 64 x 64 pixels: 4 to 16 tokens."""
    return {"patch_size": 8, "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}}


def mrope(section: list[int]) -> dict:
    """Rotary position settings whose temporal, height and width parts fill half a head."""
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": section}


def _qwen2_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen2VLConfig, Qwen2VLProcessor]:
    """Qwen2-VL: dynamic resolution; its vision config calls the text width `hidden_size`."""
    config = Qwen2VLConfig(
        text_config=text_config(tokenizer, rope_parameters=mrope([2, 3, 3])),
        vision_config=qwen_vision_config(depth=1, embed_dim=HIDDEN, hidden_size=HIDDEN, mlp_ratio=2),
        **qwen_token_ids(tokenizer),
    )
    image_processor = Qwen2VLImageProcessor(**qwen_media_settings())
    return config, Qwen2VLProcessor(image_processor, tokenizer, Qwen2VLVideoProcessor(**qwen_media_settings()))


def _qwen2_5_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen2_5_VLConfig, Qwen2_5_VLProcessor]:
    """Qwen2.5-VL: one vision block with windows of 2 x 2 tokens, then one with full attention."""
    vision_config = qwen_vision_config(
        depth=2,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        out_hidden_size=HIDDEN,
        window_size=32,
        fullatt_block_indexes=[1],
    )
    config = Qwen2_5_VLConfig(
        text_config=text_config(tokenizer, rope_parameters=mrope([2, 3, 3])),
        vision_config=vision_config,
        **qwen_token_ids(tokenizer),
    )
    image_processor = Qwen2VLImageProcessor(**qwen_media_settings())
    return config, Qwen2_5_VLProcessor(image_processor, tokenizer, Qwen2VLVideoProcessor(**qwen_media_settings()))


def _qwen3_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen3VLConfig, Qwen3VLProcessor]:
    """Qwen3-VL: features of the first vision block are added after the first text layer (DeepStack)."""
    vision_config = qwen_vision_config(
        depth=2,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        out_hidden_size=HIDDEN,
        num_position_embeddings=16,
        deepstack_visual_indexes=[0],
    )
    config = Qwen3VLConfig(
        text_config=text_config(tokenizer, head_dim=HEAD_DIM, rope_parameters=mrope([4, 2, 2])),
        vision_config=vision_config,
        **qwen_token_ids(tokenizer),
    )
    image_processor = Qwen2VLImageProcessor(**qwen_media_settings())
    return config, Qwen3VLProcessor(image_processor, tokenizer, Qwen3VLVideoProcessor(**qwen_media_settings()))


def _qwen2_5_omni(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen2_5OmniConfig, Qwen2_5OmniProcessor]:
    """Qwen2.5-Omni without its talker: Qwen2.5-VL's vision, Whisper's encoder, 25 audio tokens per second."""
    vision_config = qwen_vision_config(
        depth=2,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        out_hidden_size=HIDDEN,
        window_size=32,
        fullatt_block_indexes=[1],
    )
    audio_config = {
        "d_model": HIDDEN,
        "encoder_layers": LAYERS,
        "encoder_attention_heads": HEADS,
        "encoder_ffn_dim": 2 * HIDDEN,
        "output_dim": HIDDEN,
        "initializer_range": WEIGHT_STD,
    }
    thinker_config = {
        "text_config": text_config(tokenizer, rope_parameters=mrope([2, 3, 3])),
        "vision_config": vision_config,
        "audio_config": audio_config,
        "initializer_range": WEIGHT_STD,
        "image_token_index": tokenizer.image_token_id,
        "video_token_index": tokenizer.video_token_id,
        "audio_token_index": tokenizer.audio_token_id,
        "vision_start_token_id": tokenizer.vision_bos_token_id,
        "vision_end_token_id": tokenizer.vision_eos_token_id,
        "audio_start_token_id": tokenizer.audio_bos_token_id,
        "audio_end_token_id": tokenizer.audio_eos_token_id,
    }
    processor = Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(**qwen_media_settings()),
        Qwen2VLVideoProcessor(**qwen_media_settings()),
        WhisperFeatureExtractor(feature_size=128, chunk_length=30),  # 300 in the real one, which is slow
        tokenizer,
    )
    return Qwen2_5OmniConfig(thinker_config=thinker_config, enable_audio_output=False), processor


def _qwen3_omni(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen3OmniMoeConfig, Qwen3OmniMoeProcessor]:
    """Qwen3-Omni without its talker: two of four experts per token, Qwen3-VL's vision, 13 audio tokens per second."""
    vision_config = qwen_vision_config(
        depth=2,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        out_hidden_size=HIDDEN,
        num_position_embeddings=16,
        deepstack_visual_indexes=[0],
    )
    audio_config = {
        "d_model": HIDDEN,
        "encoder_layers": LAYERS,
        "encoder_attention_heads": HEADS,
        "encoder_ffn_dim": 2 * HIDDEN,
        "output_dim": HIDDEN,
        "downsample_hidden_size": HIDDEN // 2,
        "n_window": 50,
        "n_window_infer": 800,
        "initializer_range": WEIGHT_STD,
    }
    experts = {"moe_intermediate_size": HIDDEN, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": HEAD_DIM}
    thinker_config = {
        "text_config": text_config(tokenizer, rope_parameters=mrope([4, 2, 2]), **experts),
        "vision_config": vision_config,
        "audio_config": audio_config,
        "initializer_range": WEIGHT_STD,
        "image_token_id": tokenizer.image_token_id,
        "video_token_id": tokenizer.video_token_id,
        "audio_token_id": tokenizer.audio_token_id,
        "vision_start_token_id": tokenizer.vision_bos_token_id,
        "vision_end_token_id": tokenizer.vision_eos_token_id,
        "audio_start_token_id": tokenizer.audio_bos_token_id,
        "audio_end_token_id": tokenizer.audio_eos_token_id,
    }
    processor = Qwen3OmniMoeProcessor(
        Qwen2VLImageProcessor(**qwen_media_settings()),
        Qwen2VLVideoProcessor(**qwen_media_settings()),
        WhisperFeatureExtractor(feature_size=128, chunk_length=30),
        tokenizer,
    )
    return Qwen3OmniMoeConfig(thinker_config=thinker_config, enable_audio_output=False), processor


def _llava_next_video(tokenizer: PreTrainedTokenizerFast) -> tuple[LlavaNextVideoConfig, LlavaNextVideoProcessor]:
    """LLaVA-NeXT-Video: LLaVA-NeXT, whose clips have 32 x 32 pixels, 16 patches and, pooled, 4 tokens per frame."""
    image_size, patch_size = 32, 8
    pinpoints = [[image_size, image_size], [image_size, 2 * image_size], [2 * image_size, image_size]]
    size = {"size": {"shortest_edge": image_size}, "crop_size": {"height": image_size, "width": image_size}}
    config = LlavaNextVideoConfig(
        text_config=text_config(tokenizer, model_type="llama"),
        vision_config=vision_config(model_type="clip_vision_model", image_size=image_size, patch_size=patch_size),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = LlavaNextVideoProcessor(
        LlavaNextVideoVideoProcessor(**size, do_sample_frames=False),
        LlavaNextImageProcessor(**size, image_grid_pinpoints=pinpoints),
        tokenizer,
        patch_size=patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return config, processor


LLAMA_TOKENS = {
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "image_token": "<image>",
}
QWEN_TOKENS = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
QWEN_SPECIAL_TOKENS = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
OMNI_CONFIGS = (Qwen2_5OmniConfig, Qwen3OmniMoeConfig)
OMNI_TOKENS = {
    **QWEN_TOKENS,
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
QWEN3_OMNI_TOKENS = {
    **QWEN_TOKENS,
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "audio_token": "<|audio_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
INTERNVL_TOKENS = {
    **QWEN_TOKENS,
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
GEMMA_TOKENS = {
    "pad_token": "<pad>",
    "eos_token": "<eos>",
    "bos_token": "<bos>",
    "unk_token": "<unk>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}

FAMILIES: dict[str, Family] = {
    "llava": Family(
        template="llava",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_llava,
        named_tokens=LLAMA_TOKENS,
    ),
    "llava_next": Family(
        template="llava_next",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_llava_next,
        named_tokens=LLAMA_TOKENS,
    ),
    "internvl": Family(
        template="intern_vl",
        image_token="<IMG_CONTEXT>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_internvl,
        special_tokens=("<|im_start|>",),
        named_tokens=INTERNVL_TOKENS,
    ),
    "gemma3": Family(
        template="gemma3",
        image_token="<image_soft_token>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_gemma3,
        special_tokens=("<start_of_turn>", "<end_of_turn>"),
        named_tokens=GEMMA_TOKENS,
        needs_token_type_ids=True,
    ),
    "qwen2_vl": Family(
        template="qwen2_vl",
        image_token="<|image_pad|>",
        vision_tower="model.visual",
        projector="model.visual.merger",
        builder=_qwen2_vl,
        special_tokens=QWEN_SPECIAL_TOKENS,
        named_tokens=QWEN_TOKENS,
        mrope=True,
    ),
    "qwen2_5_vl": Family(
        template="qwen2_vl",
        image_token="<|image_pad|>",
        vision_tower="model.visual",
        projector="model.visual.merger",
        builder=_qwen2_5_vl,
        special_tokens=QWEN_SPECIAL_TOKENS,
        named_tokens=QWEN_TOKENS,
        mrope=True,
    ),
    "qwen3_vl": Family(
        template="qwen3_vl_nothink",
        image_token="<|image_pad|>",
        vision_tower="model.visual",
        projector="model.visual.merger",
        builder=_qwen3_vl,
        special_tokens=QWEN_SPECIAL_TOKENS,
        named_tokens=QWEN_TOKENS,
        deepstack=True,
        mrope=True,
    ),
}

CLIP_FAMILIES: dict[str, Family] = {
    "qwen2_5_omni": Family(
        template="qwen2_omni",
        image_token="<|IMAGE|>",
        vision_tower="visual",
        projector="visual.merger",
        builder=_qwen2_5_omni,
        special_tokens=("<|im_start|>",),
        named_tokens=OMNI_TOKENS,
        mrope=True,
    ),
    "qwen3_omni": Family(
        template="qwen3_omni_nothink",
        image_token="<|image_pad|>",
        vision_tower="visual",
        projector="visual.merger",
        builder=_qwen3_omni,
        special_tokens=("<|im_start|>",),
        named_tokens=QWEN3_OMNI_TOKENS,
        deepstack=True,
        mrope=True,
    ),
    "llava_next_video": Family(
        template="llava_next_video",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_llava_next_video,
        named_tokens={**LLAMA_TOKENS, "video_token": "<video>"},
    ),
}
