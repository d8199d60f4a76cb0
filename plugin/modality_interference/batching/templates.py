"""LLaMA-Factory's multimodal templates: those that work, and those that are refused, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..modality import Modality


IMAGE, VIDEO, AUDIO = Modality.IMAGE, Modality.VIDEO, Modality.AUDIO


@dataclass(frozen=True)
class Support:
    """What is known of a template.

    Attributes:
        models: which it is for.
        media: those that are tested with it.
        like: the tested template of the same kind of model, from which it differs in its words only; "" where it is tested
            itself.
        refused: why it cannot be used; "" where it can.
        refused_media: why one of its media cannot be used.
    """

    models: str
    media: tuple[Modality, ...] = ()
    like: str = ""
    refused: str = ""
    refused_media: Mapping[Modality, str] = field(default_factory=dict)


_OWN_CODE = (
    "the model's code comes with its checkpoint (`trust_remote_code`); transformers has none that could be tested"
)
_NESTED = "its model takes a nested batch, in which rows cannot be distinguished"
_GLM_VIDEO = (
    "LLaMA-Factory 0.9.5 cannot read videos for it with transformers 5, without the plugin either: it gives the video processor "
    "an argument `images`, which transformers 5 does not take"
)
_ERNIE = (
    "LLaMA-Factory 0.9.5 does not tell the model which tokens are images (`moe_mm_token_type_ids`), without the plugin either: they "
    "go through the experts for text, and those for images are not trained"
)

TEMPLATES: dict[str, Support] = {
    "dots_ocr": Support("dots.ocr", refused=_OWN_CODE),
    "ernie_vl": Support("ERNIE-4.5-VL", refused=_ERNIE),
    "gemma3": Support("Gemma 3", (IMAGE,)),
    "gemma3n": Support("Gemma 3n (needs the package `timm`)", (IMAGE, AUDIO)),
    "gemma4": Support("Gemma 4, larger sizes", (IMAGE, VIDEO)),
    "gemma4n": Support(
        "Gemma 4, smaller sizes",
        (IMAGE, VIDEO),
        refused_media={
            AUDIO: "LLaMA-Factory 0.9.5 counts the characters of a file's path in place of its samples, without the plugin, too",
        },
    ),
    "glm4_5v": Support("GLM-4.5V", (IMAGE,), refused_media={VIDEO: _GLM_VIDEO}),
    "glm4v": Support("GLM-4.1V", (IMAGE,), refused_media={VIDEO: _GLM_VIDEO}),
    "glm_ocr": Support("GLM-OCR", (IMAGE,), refused_media={VIDEO: _GLM_VIDEO}),
    "granite3_vision": Support("Granite-Vision", (IMAGE,)),
    "instructblip": Support("InstructBLIP (Vicuna), whose template comes with the plugin", (IMAGE,)),
    "intern_s1": Support("Intern-S1", refused=_OWN_CODE),
    "intern_vl": Support("InternVL 2.5 to 3.5 (`-hf`)", (IMAGE, VIDEO)),
    "keye_vl": Support("Keye-VL", refused=_OWN_CODE),
    "kimi_vl": Support("Kimi-VL", refused=_OWN_CODE),
    "lfm2_vl": Support("LFM2-VL, LFM2.5-VL", (IMAGE,)),
    "llama4": Support("Llama 4", (IMAGE,)),
    "llava": Support("LLaVA-1.5", (IMAGE,)),
    "llava_next": Support("LLaVA-NeXT", (IMAGE,)),
    "llava_next_llama3": Support("LLaVA-NeXT (Llama 3)", (IMAGE,), like="llava_next"),
    "llava_next_mistral": Support("LLaVA-NeXT (Mistral)", (IMAGE,), like="llava_next"),
    "llava_next_qwen": Support("LLaVA-NeXT (Qwen)", (IMAGE,), like="llava_next"),
    "llava_next_video": Support("LLaVA-NeXT-Video", (IMAGE, VIDEO)),
    "llava_next_video_mistral": Support("LLaVA-NeXT-Video (Mistral)", (IMAGE, VIDEO), like="llava_next_video"),
    "llava_next_video_yi": Support("LLaVA-NeXT-Video (Yi)", (IMAGE, VIDEO), like="llava_next_video"),
    "llava_next_yi": Support("LLaVA-NeXT (Yi)", (IMAGE,), like="llava_next"),
    "mimo_vl": Support("MiMo-VL", (IMAGE, VIDEO), like="qwen2_vl"),
    "minicpm_o": Support("MiniCPM-o", refused=_NESTED),
    "minicpm_v": Support("MiniCPM-V", refused=_NESTED),
    "minicpm_v_4_6": Support(
        "MiniCPM-V 4.6", refused="transformers 5.5.4, with which all is tested, has no model for it"
    ),
    "ministral3": Support("Ministral 3", (IMAGE,), like="mistral_small"),
    "mistral_small": Support("Mistral Small 3.1", (IMAGE,)),
    "mllama": Support(
        "Llama 3.2 Vision",
        refused="its images enter through cross-attention, not as embeddings of the text decoder",
    ),
    "moss_vl": Support(
        "MOSS-VL", refused="LLaMA-Factory's main branch collates it in a way of its own, with which nothing is tested"
    ),
    "paligemma": Support("PaliGemma", (IMAGE,)),
    "paligemma_chat": Support("PaliGemma", (IMAGE,), like="paligemma"),
    "pixtral": Support("Pixtral", (IMAGE,)),
    "qwen2_audio": Support("Qwen2-Audio", (AUDIO,)),
    "qwen2_omni": Support("Qwen2.5-Omni", (IMAGE, VIDEO, AUDIO)),
    "qwen2_vl": Support("Qwen2-VL, Qwen2.5-VL", (IMAGE, VIDEO)),
    "qwen3_5": Support("Qwen3.5, also with experts", (IMAGE, VIDEO), like="qwen3_5_nothink"),
    "qwen3_5_nothink": Support("Qwen3.5, also with experts", (IMAGE, VIDEO)),
    "qwen3_6": Support("Qwen3.6", (IMAGE, VIDEO), like="qwen3_5_nothink"),
    "qwen3_omni": Support("Qwen3-Omni", (IMAGE, VIDEO, AUDIO), like="qwen3_omni_nothink"),
    "qwen3_omni_nothink": Support("Qwen3-Omni", (IMAGE, VIDEO, AUDIO)),
    "qwen3_vl": Support("Qwen3-VL, also with experts", (IMAGE, VIDEO), like="qwen3_vl_nothink"),
    "qwen3_vl_nothink": Support("Qwen3-VL, also with experts", (IMAGE, VIDEO)),
    "video_llava": Support("Video-LLaVA", (IMAGE, VIDEO)),
    "yi_vl": Support("Yi-VL", (IMAGE,), like="llava"),
    "youtu_vl": Support("Youtu-VL", refused=_OWN_CODE),
}


def status(name: str) -> str:
    """What the documentation says of a template."""
    support = TEMPLATES[name]
    if support.refused:
        return f"refused: {support.refused}"

    media = ", ".join(support.media)
    tested = f"works with {media} (tested{f' as `{support.like}`' if support.like else ''})"
    return "; ".join([tested, *(f"{medium} is refused: {why}" for medium, why in support.refused_media.items())])
