"""Stand-ins for the hub's models and datasets that LLaMA-Factory's own tests name; nothing is downloaded.

`build_hub(folder, checkout)` writes each under its hub name (`folder/Qwen/Qwen3-8B`), where a test that runs in that
folder finds it. Tokenizers are byte-level, models have two layers of random weights, processors have the settings of
the published ones, since the tests count their tokens. Data are the checkout's demo files.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer, processors
from transformers import (
    CLIPImageProcessor,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GotOcr2ImageProcessor,
    InternVLProcessor,
    InternVLVideoProcessor,
    Llama4ImageProcessor,
    Llama4Processor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaNextVideoProcessor,
    LlavaNextVideoVideoProcessor,
    LlavaProcessor,
    PaliGemmaProcessor,
    PixtralImageProcessor,
    PixtralProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5OmniProcessor,
    Qwen2VLConfig,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    SiglipImageProcessor,
    VideoLlavaImageProcessor,
    VideoLlavaProcessor,
    VideoLlavaVideoProcessor,
    WhisperFeatureExtractor,
)

from helpers.tiny_models import FAMILIES, GEMMA_TOKENS, INTERNVL_TOKENS, LLAMA_TOKENS, QWEN_SPECIAL_TOKENS, QWEN_TOKENS
from helpers.tiny_models import make_tokenizer as make_family_tokenizer


LLAMA3 = "llamafactory/tiny-random-Llama-3"
CHAT_REPLY = "_rho"  # what the tests expect of the published tiny model
LLAMA3_TEXT_TOKENS = 128_000  # special tokens start here; the tests know two by their ids
LLAMA3_SPECIAL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    *(f"<|reserved_special_token_{index}|>" for index in range(4)),
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
)
LLAMA4_SPECIAL_TOKENS = (
    "<|header_start|>", "<|header_end|>", "<|image_start|>", "<|image_end|>", "<|image|>", "<|patch|>",
    "<|tile_x_separator|>", "<|tile_y_separator|>",
)  # fmt: skip
OMNI_TOKENS = {
    **QWEN_TOKENS,
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}

LLAMA3_CHAT = """\
{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
LLAMA4_CHAT = LLAMA3_CHAT.replace("start_header_id", "header_start").replace("end_header_id", "header_end")
LLAMA4_CHAT = LLAMA4_CHAT.replace("eot_id", "eot")
PHI4_CHAT = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '<|im_sep|>' + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant<|im_sep|>' }}{%- endif %}"""
GEMMA_CHAT = """\
{{- bos_token }}
{%- for message in messages %}
{%- set role = 'model' if message.role == 'assistant' else message.role %}
{{- '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{%- endif %}"""
CHATML = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
QWEN2_5_CHAT = (
    "{%- if messages[0].role != 'system' %}{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
    "You are a helpful assistant.<|im_end|>\\n' }}{%- endif %}\n" + CHATML
)
# thoughts of earlier turns are dropped, the last turn always has a block of them
QWEN3_CHAT = """\
{%- for message in messages %}
{%- set content = message.content %}
{%- set thought = '' %}
{%- if '</think>' in content %}
{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{%- if message.role == 'assistant' and loop.last %}
{%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content %}
{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""
QWEN3_TOOLS_CHAT = """\
{{- '<|im_start|>system\\n' + messages[0].content }}
{%- if tools %}
{{- '\\n\\n# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' }}
{{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' + tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments ' }}
{{- 'within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' }}
{{- '{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages[1:] %}
{%- if message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def build_hub(folder: Path, checkout: Path) -> None:
    """Write every stand-in below a folder.

    Args:
        folder: where to; stands for the hub.
        checkout: LLaMA-Factory's repository, for its demo data.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _build_llama3(folder)
        for name, build in STAND_INS.items():
            build(folder / name)

    _write_datasets(folder, checkout / "data")


def _make_tokenizer(
    special_tokens: Sequence[str], chat_template: str | None = None, **named_tokens: str
) -> PreTrainedTokenizerFast:
    family = replace(FAMILIES["qwen2_vl"], special_tokens=tuple(special_tokens), named_tokens=named_tokens)
    tokenizer = make_family_tokenizer(family)
    tokenizer.chat_template = chat_template
    return tokenizer


def _make_llama3_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer whose text tokens are filled up to Llama 3's number, so that special tokens have its ids."""
    state = json.loads(_make_tokenizer(()).backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary[CHAT_REPLY] = len(vocabulary)
    vocabulary |= {f"<filler {token_id}>": token_id for token_id in range(len(vocabulary), LLAMA3_TEXT_TOKENS)}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens(list(LLAMA3_SPECIAL_TOKENS))
    start = LLAMA3_SPECIAL_TOKENS[0]
    tokenizer.post_processor = processors.TemplateProcessing(f"{start} $A", None, [(start, LLAMA3_TEXT_TOKENS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        chat_template=LLAMA3_CHAT,
    )


def _tiny_llm(vocabulary: int, layers: int = 2) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "tie_word_embeddings": False,
    }


def _make_llama3_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A model that answers anything with `CHAT_REPLY`: one feature is always on, and only that token hears it."""
    config = LlamaConfig(
        **_tiny_llm(len(tokenizer)), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id
    )
    model = LlamaForCausalLM(config).to(torch.float16)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 5.0
        model.lm_head.weight[tokenizer.convert_tokens_to_ids(CHAT_REPLY), 0] = 5.0

    return model


def _build_llama3(folder: Path) -> None:
    """The tiny Llama 3, its adapter, its value head, and its PiSSA adapter beside the remaining weights."""
    tokenizer = _make_llama3_tokenizer()
    model = _make_llama3_model(tokenizer)
    head = {"v_head.summary.weight": torch.randn(1, 16).half(), "v_head.summary.bias": torch.zeros(1).half()}
    for name in (LLAMA3, f"{LLAMA3}-valuehead"):
        tokenizer.save_pretrained(folder / name)
        model.save_pretrained(folder / name)

    save_file(head, folder / LLAMA3 / "value_head.safetensors")
    torch.save(model.state_dict() | head, folder / f"{LLAMA3}-valuehead" / "pytorch_model.bin")
    (folder / f"{LLAMA3}-valuehead" / "model.safetensors").unlink()

    settings = LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False
    )
    get_peft_model(_make_copy(model), settings).save_pretrained(folder / f"{LLAMA3}-lora")
    _build_pissa(folder / f"{LLAMA3}-pissa", _make_copy(model), tokenizer)
    gated = folder / "meta-llama/Meta-Llama-3-8B-Instruct"
    tokenizer.save_pretrained(gated)
    LlamaConfig(**_tiny_llm(len(tokenizer), layers=32)).save_pretrained(gated)


def _make_copy(model: LlamaForCausalLM) -> LlamaForCausalLM:
    copy = LlamaForCausalLM(model.config).to(model.dtype)
    copy.load_state_dict(model.state_dict())
    return copy


def _build_pissa(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    settings = LoraConfig(
        r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights="pissa"
    )
    adapted = get_peft_model(model, settings)
    assert isinstance(adapted, PeftModel)
    adapted.peft_config["default"].init_lora_weights = True  # the saved weights are past their decomposition
    adapted.save_pretrained(folder / "pissa_init")
    adapted.unload().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _save_qwen3_model(folder: Path) -> None:
    tokenizer = _make_tokenizer(("<|im_start|>",), CHATML, **QWEN_TOKENS)
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "Qwen2Tokenizer"}))
    # this base makes rotary frequencies powers of two, so that they are the same in bfloat16 and float32
    rope = {"rope_type": "default", "rope_theta": 65536.0}
    config = Qwen3Config(**_tiny_llm(len(tokenizer)), head_dim=8, rope_parameters=rope)
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def _tokenizer_only(
    special_tokens: Sequence[str], chat_template: str, **named_tokens: str
) -> Callable[[Path], object]:
    return lambda folder: _make_tokenizer(special_tokens, chat_template, **named_tokens).save_pretrained(folder)


def _save_qwen2_vl(folder: Path) -> None:
    """Processor and configuration; the tests make the model from it."""
    tokenizer = _make_tokenizer(QWEN_SPECIAL_TOKENS, **QWEN_TOKENS)
    Qwen2VLProcessor(Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor()).save_pretrained(folder)
    Qwen2VLConfig(
        text_config={
            **_tiny_llm(len(tokenizer)),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]},
        },
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 16, "num_heads": 2},
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    ).save_pretrained(folder)


def _save_qwen3_vl(folder: Path) -> None:
    tokenizer = _make_tokenizer(QWEN_SPECIAL_TOKENS, **QWEN_TOKENS)
    patches = {"patch_size": 16, "size": {"shortest_edge": 4096, "longest_edge": 16777216}}
    videos = Qwen3VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 25165824})
    Qwen3VLProcessor(Qwen2VLImageProcessor(**patches), tokenizer, videos).save_pretrained(folder)


def _save_qwen2_5_omni(folder: Path) -> None:
    tokenizer = _make_tokenizer(("<|im_start|>",), **OMNI_TOKENS)
    listener = WhisperFeatureExtractor(feature_size=128, return_attention_mask=True)
    Qwen2_5OmniProcessor(
        Qwen2VLImageProcessor(), Qwen2VLVideoProcessor(), listener, tokenizer, chat_template=CHATML
    ).save_pretrained(folder)


def _save_llava(folder: Path) -> None:
    images = CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336})
    LlavaProcessor(
        images,
        _make_tokenizer((), **LLAMA_TOKENS),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


LLAVA_NEXT_IMAGES = {
    "size": {"shortest_edge": 336},
    "crop_size": {"height": 336, "width": 336},
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
}


def _save_llava_next(folder: Path) -> None:
    LlavaNextProcessor(
        LlavaNextImageProcessor(**LLAVA_NEXT_IMAGES),
        _make_tokenizer((), **LLAMA_TOKENS),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def _save_llava_next_video(folder: Path) -> None:
    LlavaNextVideoProcessor(
        LlavaNextVideoVideoProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
        LlavaNextImageProcessor(**LLAVA_NEXT_IMAGES),
        _make_tokenizer(("<video>",), **LLAMA_TOKENS),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def _save_video_llava(folder: Path) -> None:
    sizes = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    VideoLlavaProcessor(
        VideoLlavaImageProcessor(**sizes),
        VideoLlavaVideoProcessor(**sizes),
        _make_tokenizer(("<video>",), **LLAMA_TOKENS),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


def _save_internvl(folder: Path) -> None:
    size = {"height": 448, "width": 448}
    images = GotOcr2ImageProcessor(size=size, crop_to_patches=False)
    tokenizer = _make_tokenizer(("<|im_start|>",), **INTERNVL_TOKENS)
    InternVLProcessor(images, tokenizer, InternVLVideoProcessor(size=size)).save_pretrained(folder)


def _save_gemma3(folder: Path) -> None:
    tokenizer = _make_tokenizer(("<start_of_turn>", "<end_of_turn>"), GEMMA_CHAT, **GEMMA_TOKENS)
    images = Gemma3ImageProcessor(size={"height": 896, "width": 896})
    Gemma3Processor(images, tokenizer, GEMMA_CHAT, image_seq_length=256).save_pretrained(folder)


def _save_paligemma(folder: Path) -> None:
    images = SiglipImageProcessor(size={"height": 224, "width": 224})
    images.image_seq_length = 256
    tokenizer = _make_tokenizer((), pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", image_token="<image>")
    PaliGemmaProcessor(images, tokenizer).save_pretrained(folder)


def _save_pixtral(folder: Path) -> None:
    tokenizer = _make_tokenizer(("[IMG]", "[IMG_BREAK]", "[IMG_END]"), bos_token="<s>", eos_token="</s>")
    images = PixtralImageProcessor(size={"longest_edge": 1024}, patch_size={"height": 16, "width": 16})
    PixtralProcessor(images, tokenizer).save_pretrained(folder)


def _save_llama4(folder: Path) -> None:
    named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot|>", "pad_token": "<|finetune_right_pad|>"}
    tokenizer = _make_tokenizer(LLAMA4_SPECIAL_TOKENS, LLAMA4_CHAT, **named)
    images = Llama4ImageProcessor(size={"height": 336, "width": 336})
    Llama4Processor(images, tokenizer, chat_template=LLAMA4_CHAT).save_pretrained(folder)


GEMMA_TEXT = {key: GEMMA_TOKENS[key] for key in ("pad_token", "eos_token", "bos_token", "unk_token")}
STAND_INS: dict[str, Callable[[Path], object]] = {
    "llamafactory/tiny-random-Llama-4": _save_llama4,
    "llamafactory/tiny-random-qwen3": _save_qwen3_model,
    "Qwen/Qwen2-VL-2B-Instruct": _save_qwen2_vl,
    "Qwen/Qwen2-VL-7B-Instruct": _save_qwen2_vl,
    "Qwen/Qwen3-VL-30B-A3B-Instruct": _save_qwen3_vl,
    "Qwen/Qwen2.5-Omni-7B": _save_qwen2_5_omni,
    "Qwen/Qwen2.5-7B-Instruct": _tokenizer_only(("<|im_start|>",), QWEN2_5_CHAT, **QWEN_TOKENS),
    "Qwen/Qwen3-8B": _tokenizer_only(("<|im_start|>",), QWEN3_CHAT, **QWEN_TOKENS),
    "Qwen/Qwen3-4B-Instruct-2507": _tokenizer_only(("<|im_start|>",), QWEN3_TOOLS_CHAT, **QWEN_TOKENS),
    "microsoft/phi-4": _tokenizer_only(("<|im_start|>", "<|im_sep|>"), PHI4_CHAT, **QWEN_TOKENS),
    "google/gemma-2-2b-it": _tokenizer_only(("<start_of_turn>", "<end_of_turn>"), GEMMA_CHAT, **GEMMA_TEXT),
    "google/gemma-3-4b-it": _save_gemma3,
    "google/paligemma-3b-pt-224": _save_paligemma,
    "OpenGVLab/InternVL3-1B-hf": _save_internvl,
    "llava-hf/llava-1.5-7b-hf": _save_llava,
    "llava-hf/llava-v1.6-vicuna-7b-hf": _save_llava_next,
    "llava-hf/LLaVA-NeXT-Video-7B-hf": _save_llava_next_video,
    "LanguageBind/Video-LLaVA-7B-hf": _save_video_llava,
    "mistral-community/pixtral-12b": _save_pixtral,
}


DEMO_DATA = "llamafactory/demo_data"
COPIED = {  # stand-in: file of the checkout's data folder
    "llamafactory/tiny-supervised-dataset/train.json": "alpaca_en_demo.json",
    "llamafactory/v1-sft-demo/train.jsonl": "v1_sft_demo.jsonl",
    "llamafactory/reason-tool-use-demo-1500/train.jsonl": "reason_tool_use_demo_50.jsonl",
    f"{DEMO_DATA}/c4_demo.jsonl": "c4_demo.jsonl",
    f"{DEMO_DATA}/alpaca_en_demo.json": "alpaca_en_demo.json",
    f"{DEMO_DATA}/dpo_en_demo.json": "dpo_en_demo.json",
    f"{DEMO_DATA}/kto_en_demo.json": "kto_en_demo.json",
}
REVISION = "0" * 40


def _write_datasets(folder: Path, data: Path) -> None:
    for name, source in COPIED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((data / source).read_bytes())

    _write_pairs(folder, data)
    _write_v1_recipes(folder / "llamafactory/v1-dataset-info")
    _write_conversations(folder / DEMO_DATA / "system_chat.json", data)
    subsets = [path for path in sorted((folder / DEMO_DATA).iterdir()) if path.suffix in {".json", ".jsonl"}]
    configs = [{"config_name": path.stem, "data_files": path.name} for path in subsets]
    (folder / DEMO_DATA / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")
    _write_cached_info(folder, data, [path.stem for path in subsets])


def _write_conversations(path: Path, data: Path) -> None:
    """Chats of two turns with a system prompt, as the published subset `system_chat` has them."""
    rows = json.loads((data / "alpaca_en_demo.json").read_text())
    chats = []
    for first, second in zip(rows[0:100:2], rows[1:100:2], strict=True):
        messages = [{"role": "system", "content": "You are a helpful assistant."}]
        for row in (first, second):
            messages.append({"role": "user", "content": f"{row['instruction']}\n{row['input']}".strip()})
            messages.append({"role": "assistant", "content": row["output"]})

        chats.append({"messages": messages})

    path.write_text(json.dumps(chats))


def _write_pairs(folder: Path, data: Path) -> None:
    """Preference pairs whose two sides are three plain messages each."""
    rows = [json.loads(line) for line in (data / "v1_dpo_demo.jsonl").read_text().splitlines()]
    sides = ("chosen", "rejected")
    pairs = [{side: [_plain(message) for message in row[f"{side}_messages"]] for side in sides} for row in rows]
    target = folder / "HuggingFaceH4/orca_dpo_pairs"
    target.mkdir(parents=True)
    (target / "pairs.json").write_text(json.dumps([pair for pair in pairs if len(pair["chosen"]) == 3]))
    configs = [{"config_name": "default", "data_files": [{"split": "train_prefs", "path": "pairs.json"}]}]
    (target / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")


def _plain(message: dict[str, Any]) -> dict[str, str]:
    return {"role": message["role"], "content": message["content"][0]["value"]}


def _write_v1_recipes(folder: Path) -> None:
    alpaca = {"path": "llamafactory/tiny-supervised-dataset", "converter": "alpaca"}
    pairs = {"path": "HuggingFaceH4/orca_dpo_pairs", "split": "train_prefs", "converter": "pair"}
    folder.mkdir(parents=True)
    for name, recipe in (("tiny-supervised-dataset", alpaca), ("orca-dpo-pairs", pairs)):
        (folder / f"{name}.yaml").write_text(json.dumps({"tiny_dataset": recipe}))  # JSON is YAML


def _write_cached_info(folder: Path, data: Path, subsets: list[str]) -> None:
    """The subsets' `dataset_info.json` as a file of the hub's cache: `REMOTE:` reads it nowhere else."""
    stock = json.loads((data / "dataset_info.json").read_text())
    stock["system_chat"] = {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": stock["kto_en_demo"]["tags"] | {"system_tag": "system"},
    }
    info = {
        name: {key: value for key, value in stock[name].items() if key != "file_name"}
        | {"hf_hub_url": DEMO_DATA, "subset": name}
        for name in subsets
    }
    cached = folder / "hub-cache" / f"datasets--{DEMO_DATA.replace('/', '--')}"
    snapshot = cached / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "dataset_info.json").write_text(json.dumps(info))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(REVISION)
