"""Tiny random models of the families that are rarer than those of `tiny_models`; `tiny_models.build` makes them, too."""

from typing import Any

from transformers import (
    BlipImageProcessor,
    Gemma3nAudioFeatureExtractor,
    Gemma3nConfig,
    Gemma3nProcessor,
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ImageProcessor,
    Gemma4Processor,
    Gemma4VideoProcessor,
    Glm4vConfig,
    Glm4vImageProcessor,
    Glm4vMoeConfig,
    Glm4vProcessor,
    Glm4vVideoProcessor,
    GlmOcrConfig,
    InstructBlipConfig,
    InstructBlipProcessor,
    InternVLConfig,
    InternVLProcessor,
    Lfm2VlConfig,
    Lfm2VlImageProcessor,
    Lfm2VlProcessor,
    Llama4Config,
    Llama4ImageProcessor,
    Llama4Processor,
    LlavaConfig,
    LlavaNextConfig,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    Mistral3Config,
    PaliGemmaConfig,
    PaliGemmaProcessor,
    PixtralImageProcessor,
    PixtralProcessor,
    PreTrainedTokenizerFast,
    Qwen2AudioConfig,
    Qwen2AudioProcessor,
    Qwen2VLImageProcessor,
    Qwen3_5Config,
    Qwen3_5MoeConfig,
    Qwen3MoeConfig,
    Qwen3VLMoeConfig,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SiglipImageProcessor,
    VideoLlavaConfig,
    VideoLlavaImageProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
    WhisperFeatureExtractor,
)

from helpers.tiny_models import (
    FAMILIES,
    GEMMA_TOKENS,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    LAYERS,
    LLAMA_TOKENS,
    QWEN_SPECIAL_TOKENS,
    QWEN_TOKENS,
    WEIGHT_STD,
    Family,
    mrope,
    qwen_media_settings,
    qwen_token_ids,
    qwen_vision_config,
    text_config,
    vision_config,
)


def _pixtral_processor(tokenizer: PreTrainedTokenizerFast, merge: int) -> PixtralProcessor:
    """Images of up to 64 x 64 pixels, patches of 8 x 8, a token that breaks each line."""
    image_processor = PixtralImageProcessor(
        size={"longest_edge": 64}, patch_size={"height": 8 * merge, "width": 8 * merge}
    )
    return PixtralProcessor(image_processor, tokenizer, patch_size=8, spatial_merge_size=merge)


def _pixtral(tokenizer: PreTrainedTokenizerFast) -> tuple[LlavaConfig, PixtralProcessor]:
    """Pixtral: LLaVA with images of any size."""
    config = LlavaConfig(
        text_config=text_config(tokenizer, model_type="mistral", head_dim=HEAD_DIM, sliding_window=None),
        vision_config=vision_config(model_type="pixtral", image_size=64, patch_size=8, head_dim=HEAD_DIM),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        image_seq_length=1,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return config, _pixtral_processor(tokenizer, 1)


def _mistral3(tokenizer: PreTrainedTokenizerFast) -> tuple[Mistral3Config, PixtralProcessor]:
    """Mistral Small 3.1: Pixtral whose patches are merged two by two."""
    config = Mistral3Config(
        text_config=text_config(tokenizer, model_type="mistral", head_dim=HEAD_DIM, sliding_window=None),
        vision_config=vision_config(model_type="pixtral", image_size=64, patch_size=8, head_dim=HEAD_DIM),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    return config, _pixtral_processor(tokenizer, 2)


def _llama4(tokenizer: PreTrainedTokenizerFast) -> tuple[Llama4Config, Llama4Processor]:
    """Llama 4: a mixture of experts; images in tiles of 32 x 32 pixels and 4 tokens; one layer with rotary positions, one without."""
    config = Llama4Config(
        text_config=text_config(
            tokenizer,
            intermediate_size_mlp=2 * HIDDEN,
            head_dim=HEAD_DIM,
            num_local_experts=2,
            num_experts_per_tok=1,
            no_rope_layers=[1, 0],
            attention_chunk_size=1024,
        ),
        vision_config=vision_config(
            image_size=32,
            patch_size=8,
            vision_output_dim=HIDDEN,
            projector_input_dim=HIDDEN,
            projector_output_dim=HIDDEN,
            intermediate_size=4 * HIDDEN,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<|image_start|>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<|image_end|>"),
        tie_word_embeddings=False,
    )
    image_processor = Llama4ImageProcessor(size={"height": 32, "width": 32}, max_patches=2)
    return config, Llama4Processor(image_processor, tokenizer, patch_size=8, pixel_shuffle_ratio=0.5)


def _gemma4_config(
    tokenizer: PreTrainedTokenizerFast, audio: dict[str, Any] | None = None, **text_keys: Any
) -> Gemma4Config:
    text = text_config(
        tokenizer,
        head_dim=HEAD_DIM,
        global_head_dim=HEAD_DIM,
        sliding_window=32,
        vocab_size_per_layer_input=len(tokenizer) + 1,  # the processor adds a token for videos
        **({"layer_types": ["sliding_attention", "full_attention"]} | text_keys),
    )
    vision = vision_config(
        num_key_value_heads=HEADS, head_dim=HEAD_DIM, patch_size=8, pooling_kernel_size=2, position_embedding_size=64
    )
    return Gemma4Config(
        text_config=text | {"vocab_size": len(tokenizer) + 1},
        vision_config=vision,
        audio_config=audio,
        image_token_id=tokenizer.image_token_id,
        video_token_id=len(tokenizer),
        audio_token_id=tokenizer.audio_token_id,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        initializer_range=WEIGHT_STD,
    )


def _gemma4_processor(tokenizer: PreTrainedTokenizerFast) -> Gemma4Processor:
    media = {"patch_size": 8, "pooling_kernel_size": 2, "max_soft_tokens": 70}
    return Gemma4Processor(
        Gemma4AudioFeatureExtractor(),
        Gemma4ImageProcessor(**media),
        tokenizer,
        Gemma4VideoProcessor(**media),
    )


def _gemma4(tokenizer: PreTrainedTokenizerFast) -> tuple[Gemma4Config, Gemma4Processor]:
    """Gemma 4 in its larger sizes: images attend to themselves in both directions; a mixture of experts."""
    config = _gemma4_config(
        tokenizer,
        hidden_size_per_layer_input=0,
        use_bidirectional_attention="vision",
    )
    return config, _gemma4_processor(tokenizer)


def _gemma4n(tokenizer: PreTrainedTokenizerFast) -> tuple[Gemma4Config, Gemma4Processor]:
    """Gemma 4 in its smaller sizes: embeddings of the token ids enter every layer; the last layer uses the keys of the one before."""
    audio = {
        "hidden_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "subsampling_conv_channels": [128, 4],
        "output_proj_dims": HIDDEN,
        "initializer_range": WEIGHT_STD,
    }
    layers = ["sliding_attention", "full_attention", "full_attention"]
    text = {"num_hidden_layers": len(layers), "layer_types": layers, "num_kv_shared_layers": 1}
    config = _gemma4_config(tokenizer, audio, hidden_size_per_layer_input=8, **text)
    return config, _gemma4_processor(tokenizer)


def _gemma3n(tokenizer: PreTrainedTokenizerFast) -> tuple[Gemma3nConfig, Gemma3nProcessor]:
    """Gemma 3n: a MobileNet of timm with an 80th of its channels, 4 tokens an image; embeddings of the token ids enter every layer.

    The vocabulary ends with the embeddings of image and audio tokens that hold no image or audio.
    """
    layers = ["sliding_attention", "full_attention", "full_attention"]
    vision, audio = (len(tokenizer) + 2 * index for index in range(2))
    config = Gemma3nConfig(
        text_config=text_config(
            tokenizer,
            vocab_size=len(tokenizer) + 4,
            head_dim=HEAD_DIM,
            num_hidden_layers=len(layers),
            layer_types=layers,
            sliding_window=32,
            num_kv_shared_layers=1,
            activation_sparsity_pattern=[0.5, 0.0, 0.0],
            hidden_size_per_layer_input=8,
            vocab_size_per_layer_input=len(tokenizer),
            laurel_rank=4,
        ),
        vision_config={
            "vocab_offset": vision,
            "vocab_size": 2,
            "model_args": {"channel_multiplier": 1 / 80, "msfa_output_resolution": 2},
        },
        audio_config={
            "vocab_offset": audio,
            "vocab_size": 2,
            "hidden_size": HIDDEN,
            "conf_num_attention_heads": HEADS,
            "conf_num_hidden_layers": 1,
            "sscp_conv_channel_size": (8, 4),
        },
        vision_soft_tokens_per_image=4,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        image_token_id=tokenizer.image_token_id,
        boa_token_id=tokenizer.boa_token_id,
        eoa_token_id=tokenizer.eoa_token_id,
        audio_token_id=tokenizer.audio_token_id,
        initializer_range=WEIGHT_STD,
    )
    image_processor = SiglipImageProcessor(size={"height": 32, "width": 32})
    processor = Gemma3nProcessor(Gemma3nAudioFeatureExtractor(), image_processor, tokenizer, image_seq_length=4)
    return config, processor


def _instructblip(tokenizer: PreTrainedTokenizerFast) -> tuple[InstructBlipConfig, InstructBlipProcessor]:
    """InstructBLIP: a Q-Former reads the prompt, here in the tokens of the language model, and makes 4 tokens of an image."""
    config = InstructBlipConfig(
        text_config=text_config(tokenizer, model_type="llama"),
        vision_config=vision_config(image_size=24, patch_size=8),
        qformer_config=vision_config(
            vocab_size=len(tokenizer),
            encoder_hidden_size=HIDDEN,
            cross_attention_frequency=1,
            pad_token_id=tokenizer.pad_token_id,
        ),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    image_processor = BlipImageProcessor(size={"height": 24, "width": 24})
    return config, InstructBlipProcessor(image_processor, tokenizer, tokenizer, num_query_tokens=4)


def _paligemma(tokenizer: PreTrainedTokenizerFast) -> tuple[PaliGemmaConfig, PaliGemmaProcessor]:
    """PaliGemma: prompts attend to themselves in both directions; the mm_plugin puts image tokens before the text."""
    image_processor = SiglipImageProcessor(size={"height": 16, "width": 16})
    image_processor.image_seq_length = 4
    processor = PaliGemmaProcessor(image_processor, tokenizer)
    text = text_config(tokenizer, model_type="gemma", head_dim=HEAD_DIM)
    config = PaliGemmaConfig(
        text_config=text | {"vocab_size": len(tokenizer)},
        vision_config=vision_config(
            model_type="siglip_vision_model", image_size=16, patch_size=8, vision_use_head=False
        ),
        image_token_index=processor.image_token_id,
        projection_dim=HIDDEN,
        hidden_size=HIDDEN,
        vocab_size=len(tokenizer),
    )
    return config, processor


def _qwen2_audio(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen2AudioConfig, Qwen2AudioProcessor]:
    """Qwen2-Audio: Whisper's encoder with 25 tokens per second, and no images."""
    config = Qwen2AudioConfig(
        audio_config={
            "d_model": HIDDEN,
            "encoder_layers": LAYERS,
            "encoder_attention_heads": HEADS,
            "encoder_ffn_dim": 2 * HIDDEN,
            "initializer_range": WEIGHT_STD,
        },
        text_config=text_config(tokenizer, model_type="qwen2"),
        audio_token_index=tokenizer.audio_token_id,
    )
    return config, Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=128, chunk_length=30), tokenizer)


def _glm4v_processor(tokenizer: PreTrainedTokenizerFast) -> Glm4vProcessor:
    size = {"patch_size": 8, "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64 * 2}}
    return Glm4vProcessor(Glm4vImageProcessor(**size), tokenizer, Glm4vVideoProcessor(**size))


def _glm_keys(tokenizer: PreTrainedTokenizerFast, **text_keys: Any) -> dict[str, Any]:
    vision = {
        "depth": 1,
        "hidden_size": HIDDEN,
        "num_heads": HEADS,
        "image_size": 64,
        "patch_size": 8,
        "out_hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "initializer_range": WEIGHT_STD,
    }
    marks = {
        f"{kind}_{end}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}_of_{kind}|>")
        for kind in ("image", "video")
        for end, word in (("start", "begin"), ("end", "end"))
    }
    return {
        "text_config": text_config(tokenizer, **({"rope_parameters": mrope([2, 3, 3])} | text_keys)),
        "vision_config": vision,
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video|>"),
        "tie_word_embeddings": False,
        **marks,
    }


def _glm4v(tokenizer: PreTrainedTokenizerFast) -> tuple[Glm4vConfig, Glm4vProcessor]:
    """GLM-4.1V: dynamic resolution, positions with three axes, four norms in a layer."""
    return Glm4vConfig(**_glm_keys(tokenizer)), _glm4v_processor(tokenizer)


def _glm_ocr(tokenizer: PreTrainedTokenizerFast) -> tuple[GlmOcrConfig, Glm4vProcessor]:
    """GLM-OCR: a small GLM-4.1V."""
    return GlmOcrConfig(**_glm_keys(tokenizer, head_dim=HEAD_DIM)), _glm4v_processor(tokenizer)


def _glm4v_moe(tokenizer: PreTrainedTokenizerFast) -> tuple[Glm4vMoeConfig, Glm4vProcessor]:
    """GLM-4.5V: one dense layer, one of experts, one of them shared."""
    experts = {
        "head_dim": HEAD_DIM,
        "moe_intermediate_size": HIDDEN,
        "num_experts_per_tok": 2,
        "n_routed_experts": 4,
        "first_k_dense_replace": 1,
        "rope_parameters": mrope([1, 1, 2]) | {"partial_rotary_factor": 0.5},
    }
    return Glm4vMoeConfig(**_glm_keys(tokenizer, **experts)), _glm4v_processor(tokenizer)


def _qwen3_vision() -> dict[str, Any]:
    return qwen_vision_config(
        depth=2,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        out_hidden_size=HIDDEN,
        num_position_embeddings=16,
    )


def _qwen3_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    settings = qwen_media_settings()
    return Qwen3VLProcessor(Qwen2VLImageProcessor(**settings), tokenizer, Qwen3VLVideoProcessor(**settings))


_EXPERTS = {"moe_intermediate_size": HIDDEN, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": HEAD_DIM}


def _qwen3_vl_moe(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen3VLMoeConfig, Qwen3VLProcessor]:
    """Qwen3-VL with two of four experts per token."""
    config = Qwen3VLMoeConfig(
        text_config=text_config(tokenizer, rope_parameters=mrope([4, 2, 2]), **_EXPERTS),
        vision_config=_qwen3_vision() | {"deepstack_visual_indexes": [0]},
        **qwen_token_ids(tokenizer),
    )
    return config, _qwen3_processor(tokenizer)


def _linear_attention() -> dict[str, Any]:
    return {
        "head_dim": HEAD_DIM,
        "linear_key_head_dim": HEAD_DIM,
        "linear_value_head_dim": HEAD_DIM,
        "linear_num_key_heads": 1,
        "linear_num_value_heads": 2,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": mrope([2, 1, 1]) | {"partial_rotary_factor": 0.5},
    }


def _qwen3_5(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen3_5Config, Qwen3VLProcessor]:
    """Qwen3.5: a layer of linear attention, then one of attention."""
    config = Qwen3_5Config(
        text_config=text_config(tokenizer, **_linear_attention()),
        vision_config=_qwen3_vision(),
        **qwen_token_ids(tokenizer),
    )
    return config, _qwen3_processor(tokenizer)


def _qwen3_5_moe(tokenizer: PreTrainedTokenizerFast) -> tuple[Qwen3_5MoeConfig, Qwen3VLProcessor]:
    """Qwen3.5 with two of four experts per token, and a shared one."""
    experts = _EXPERTS | {"shared_expert_intermediate_size": HIDDEN}
    config = Qwen3_5MoeConfig(
        text_config=text_config(tokenizer, **(_linear_attention() | experts)),
        vision_config=_qwen3_vision(),
        **qwen_token_ids(tokenizer),
    )
    return config, _qwen3_processor(tokenizer)


def _lfm2_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[Lfm2VlConfig, Lfm2VlProcessor]:
    """LFM2-VL: a layer of short convolutions, then one of attention; images of up to 16 tokens."""
    config = Lfm2VlConfig(
        text_config=text_config(
            tokenizer,
            model_type="lfm2",
            layer_types=["conv", "full_attention"],
            block_auto_adjust_ff_dim=False,
        ),
        vision_config=vision_config(model_type="siglip2_vision_model", patch_size=8, num_patches=64),
        image_token_id=tokenizer.image_token_id,
        projector_hidden_size=HIDDEN,
        downsample_factor=2,
    )
    image_processor = Lfm2VlImageProcessor(
        do_image_splitting=False,
        encoder_patch_size=8,
        tile_size=64,
        size={"height": 64, "width": 64},
        min_image_tokens=4,
        max_image_tokens=16,
    )
    return config, Lfm2VlProcessor(image_processor, tokenizer)


def _video_llava(tokenizer: PreTrainedTokenizerFast) -> tuple[VideoLlavaConfig, VideoLlavaProcessor]:
    """Video-LLaVA: a tower for images and one for clips of eight frames, 9 patches per frame."""
    vision = vision_config(model_type="clip_vision_model", image_size=24, patch_size=8)
    config = VideoLlavaConfig(
        text_config=text_config(tokenizer, model_type="llama"),
        vision_config=vision,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    size = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
    processor = VideoLlavaProcessor(
        VideoLlavaImageProcessor(**size),
        VideoLlavaVideoProcessor(**size, do_sample_frames=False),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return config, processor


def _granite_vision(tokenizer: PreTrainedTokenizerFast) -> tuple[LlavaNextConfig, LlavaNextProcessor]:
    """Granite-Vision: LLaVA-NeXT with SigLIP, several of whose layers are read, and Granite."""
    pinpoints = [[16, 16], [16, 32], [32, 16]]
    config = LlavaNextConfig(
        text_config=text_config(tokenizer, model_type="granite"),
        vision_config=vision_config(
            model_type="siglip_vision_model", image_size=16, patch_size=8, vision_use_head=False
        ),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=pinpoints,
        image_seq_length=4,
        vision_feature_layer=[-2, -1],
        vision_feature_select_strategy="full",
    )
    processor = LlavaNextProcessor(
        LlavaNextImageProcessor(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}, image_grid_pinpoints=pinpoints
        ),
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
    )
    return config, processor


def _internvl3_5(tokenizer: PreTrainedTokenizerFast) -> tuple[InternVLConfig, InternVLProcessor]:
    """InternVL3.5 with two of four experts per token."""
    config, processor = FAMILIES["internvl"].builder(tokenizer)
    config.text_config = Qwen3MoeConfig(**text_config(tokenizer, **_EXPERTS))
    return config, processor


MISTRAL_TOKENS = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
LLAMA4_TOKENS = ("<|header_start|>", "<|header_end|>", "<|image_start|>", "<|image_end|>", "<|image|>", "<|patch|>")

RARE_FAMILIES: dict[str, Family] = {
    "pixtral": Family(
        template="pixtral",
        image_token="[IMG]",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_pixtral,
        special_tokens=("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]"),
        named_tokens=MISTRAL_TOKENS,
    ),
    "mistral3": Family(
        template="mistral_small",
        image_token="[IMG]",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_mistral3,
        special_tokens=("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]"),
        named_tokens=MISTRAL_TOKENS,
    ),
    "llama4": Family(
        template="llama4",
        image_token="<|patch|>",
        vision_tower="vision_model",
        projector="multi_modal_projector",
        builder=_llama4,
        special_tokens=(*LLAMA4_TOKENS, "<|tile_x_separator|>", "<|tile_y_separator|>"),
        named_tokens={"bos_token": "<|begin_of_text|>", "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>"},
    ),
    "gemma3n": Family(
        template="gemma3n",
        image_token="<image_soft_token>",
        vision_tower="model.vision_tower",
        projector="model.embed_vision",
        builder=_gemma3n,
        special_tokens=("<start_of_turn>", "<end_of_turn>"),
        named_tokens={
            **GEMMA_TOKENS,
            "boa_token": "<start_of_audio>",
            "eoa_token": "<end_of_audio>",
            "audio_token": "<audio_soft_token>",
        },
    ),
    "gemma4": Family(
        template="gemma4",
        image_token="<|image|>",
        vision_tower="model.vision_tower",
        projector="model.embed_vision",
        builder=_gemma4,
        special_tokens=("<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>"),
        named_tokens={
            **GEMMA_TOKENS,
            "boi_token": "<|image>",
            "eoi_token": "<image|>",
            "image_token": "<|image|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
            "audio_token": "<|audio|>",
        },
    ),
    "paligemma": Family(
        template="paligemma",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_paligemma,
        named_tokens=LLAMA_TOKENS,
    ),
    "instructblip": Family(
        template="instructblip",
        image_token="<image>",
        vision_tower="vision_model",
        projector="language_projection",
        builder=_instructblip,
        special_tokens=("<image>",),  # not `image_token`, with which transformers' processor does not work
        named_tokens={role: token for role, token in LLAMA_TOKENS.items() if role != "image_token"},
    ),
    "qwen2_audio": Family(
        template="qwen2_audio",
        image_token="",
        vision_tower="audio_tower",
        projector="multi_modal_projector",
        builder=_qwen2_audio,
        special_tokens=("<|im_start|>",),
        named_tokens={
            **QWEN_TOKENS,
            "audio_token": "<|AUDIO|>",
            "audio_bos_token": "<|audio_bos|>",
            "audio_eos_token": "<|audio_eos|>",
        },
    ),
}
RARE_FAMILIES["gemma4n"] = Family(**{**vars(RARE_FAMILIES["gemma4"]), "template": "gemma4n", "builder": _gemma4n})


GLM_TOKENS = (
    "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>", "<|observation|>", "<|begin_of_image|>",
    "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|image|>", "<|video|>",
)  # fmt: skip


def _glm(template: str, builder: Any) -> Family:
    return Family(
        template=template,
        image_token="<|image|>",
        vision_tower="model.visual",
        projector="model.visual.merger",
        builder=builder,
        special_tokens=GLM_TOKENS,
        named_tokens={"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
        mrope=True,
    )


def _qwen(template: str, builder: Any) -> Family:
    return Family(
        template=template,
        image_token="<|image_pad|>",
        vision_tower="model.visual",
        projector="model.visual.merger",
        builder=builder,
        special_tokens=QWEN_SPECIAL_TOKENS,
        named_tokens=QWEN_TOKENS,
        mrope=True,
    )


RARE_FAMILIES |= {
    "glm4v": _glm("glm4v", _glm4v),
    "glm4v_moe": _glm("glm4_5v", _glm4v_moe),
    "glm_ocr": _glm("glm_ocr", _glm_ocr),
    "qwen3_vl_moe": _qwen("qwen3_vl_nothink", _qwen3_vl_moe),
    "qwen3_5": _qwen("qwen3_5_nothink", _qwen3_5),
    "qwen3_5_moe": _qwen("qwen3_5_nothink", _qwen3_5_moe),
    "lfm2_vl": Family(
        template="lfm2_vl",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_lfm2_vl,
        special_tokens=("<|im_start|>",),
        named_tokens={**QWEN_TOKENS, "bos_token": "<|startoftext|>", "image_token": "<image>"},
    ),
    "video_llava": Family(
        template="video_llava",
        image_token="<image>",
        vision_tower="model.video_tower",
        projector="model.multi_modal_projector",
        builder=_video_llava,
        named_tokens={**LLAMA_TOKENS, "video_token": "<video>"},
    ),
    "granite_vision": Family(
        template="granite3_vision",
        image_token="<image>",
        vision_tower="model.vision_tower",
        projector="model.multi_modal_projector",
        builder=_granite_vision,
        named_tokens=LLAMA_TOKENS,
    ),
    "internvl3_5": Family(**{**vars(FAMILIES["internvl"]), "builder": _internvl3_5}),
}
