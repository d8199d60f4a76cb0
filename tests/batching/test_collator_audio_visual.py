"""Clips in a batch: against LLaMA-Factory's own collator, hand-computed masks and positions, and reading each clip once."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from helpers.av_data import COLUMNS, write_clips
from helpers.clip_files import read_audio
from helpers.loading import Loaded, load_data
from helpers.runs import recipe
from helpers.tiny_models import CLIP_FAMILIES, FAMILIES
from llamafactory.data import SFTDataCollatorWith4DAttentionMask
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoModelForTextToWaveform

from modality_interference.batching.batch import TwinBatch
from modality_interference.batching.collator import Purpose
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality
from modality_interference.train.hooks import ModelParts


ALL = FAMILIES | CLIP_FAMILIES
VIDEO, AUDIO, TEXT = Modality.VIDEO.bit, Modality.AUDIO.bit, Modality.TEXT.bit
OMNI_TOKENS = {"<|IMAGE|>": "image", "<|VIDEO|>": "video", "<|AUDIO|>": "audio"}
MEDIA_TOKENS = {
    "qwen2_5_omni": OMNI_TOKENS,
    "qwen2_5_vl": {"<|image_pad|>": "image", "<|video_pad|>": "video"},
    "qwen3_vl": {"<|image_pad|>": "image", "<|video_pad|>": "video"},
    "llava_next_video": {"<image>": "image", "<video>": "video"},
    "internvl": {"<IMG_CONTEXT>": "video"},
}
DATASETS = {"qwen2_5_omni": "clips,read,seen"}
PER_MEDIUM = (
    "pixel_values_videos",
    "input_features",
    "feature_attention_mask",
    "video_grid_thw",
    "second_per_grid_ts",
    "video_metadata",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clips(
        tmp_path_factory.mktemp("clips"), own_sound={"columns": {"audios": None, "swapped_audio": None}}
    )


@pytest.fixture(scope="module")
def equal_clips(tmp_path_factory):
    """Of one length, as LLaVA-NeXT-Video needs them in a batch."""
    return write_clips(tmp_path_factory.mktemp("equal"), longer=0)


@pytest.fixture(scope="module")
def loaded(checkpoint, folder, equal_clips, tmp_path_factory):
    """Tokenized datasets and the model of a family, once."""
    cache: dict[tuple[str, Any], tuple[Loaded, Any]] = {}

    def load(family: str, **keys: Any) -> tuple[Loaded, Any]:
        names = (family, str(keys))
        if names not in cache:
            path = checkpoint(family)
            keys = {"dataset": DATASETS.get(family, "seen,read_seen")} | keys
            clips = equal_clips if family == "llava_next_video" else folder
            data = load_data(recipe(path, ALL[family].template, clips, tmp_path_factory.mktemp("out"), **keys))
            omni = family == "qwen2_5_omni"
            model = (AutoModelForTextToWaveform if omni else AutoModelForImageTextToText).from_pretrained(path)
            cache[names] = data, model.thinker if omni else model

        return cache[names]

    return load


def flatten(examples: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(example, row) for example in examples for row in (example, *example["variants"])]


def kept_clips(example: dict[str, Any], row: dict[str, Any], kind: str) -> list[str]:
    """The paths of a row's clips, which are whole ones."""
    places = [reference.split(":") for reference in row[f"{kind}_references"]]
    return [example[f"{kind}s" if place == "row" else f"twin_{kind}s"][int(index)] for place, index in places]


def stock_batch(data: Loaded, model: Any, rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """What LLaMA-Factory makes of the same rows, each with its own copy of its media."""
    features = [
        {
            "input_ids": list(row["input_ids"]),
            "attention_mask": [1] * len(row["input_ids"]),
            "labels": list(row["labels"]),
            "videos": kept_clips(example, row, "video"),
            "audios": [read_audio(Path(path))[0] for path in kept_clips(example, row, "audio")],
        }
        for example, row in rows
    ]
    return data.collator(SFTDataCollatorWith4DAttentionMask, model=model)(features)


def with_whole_clips(examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the twins whose clips LLaMA-Factory cannot read: removed ones, and those that are cut or padded."""
    names = ("black_frames", "silence", "swapped_video", "swapped_audio")
    return [
        example | {"variants": [item for item in example["variants"] if item["perturbation"] not in names]}
        for example in examples
    ]


CASES = [
    *[(family, {}) for family in ("qwen2_5_vl", "qwen3_vl", "llava_next_video", "qwen2_5_omni", "internvl")],
    ("qwen2_5_omni", {"dataset": "clips,read", "use_audio_in_video": True}),
]


def name_of(value: Any) -> str:
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


every_case = pytest.mark.parametrize(("family", "keys"), CASES, ids=name_of)


@pytest.mark.parametrize(
    ("family", "keys"), [case for case in CASES if case[0] not in ("llava_next_video", "internvl")], ids=name_of
)  # LLaMA-Factory 0.9.5 itself does not get videos through the first one's processor with transformers 5
def test_the_batch_is_llamafactorys_with_every_clip_once(loaded, family, keys):
    data, model = loaded(family, **keys)
    examples = with_whole_clips(list(data.train))
    rows = flatten(examples)
    theirs, ours = stock_batch(data, model, rows), data.collator(model=model)(examples)
    for key in set(theirs) - set(PER_MEDIUM) - {"video_second_per_grid"}:
        torch.testing.assert_close(ours[key], theirs[key], msg=key)

    assert "position_ids" not in theirs or ours["position_ids"].shape == theirs["position_ids"].shape
    for modality, name in ((Modality.VIDEO, "get_video_features"), (Modality.AUDIO, "get_audio_features")):
        token = data.collator(model=model).modality_tokens.media.get(modality)
        if token is None:
            continue

        expected, own = features(model, theirs, name), features(model, ours, name)
        index = ours["media_index"][modality]
        assert len(own) < len(expected) == len(index) == int((ours["input_ids"] == token).sum())
        assert torch.equal(index.unique(), torch.arange(len(own)))
        torch.testing.assert_close(own[index], expected, atol=1e-5, rtol=1e-4)


def features(model: Any, batch: dict[str, Any], method: str) -> torch.Tensor:
    """(tokens, width) what the model's own towers make of a batch's clips."""
    names = ("input_features", "feature_attention_mask")
    if method == "get_video_features":
        names = ("pixel_values_videos", "video_grid_thw")

    owner = model if hasattr(model, "audio_tower") else model.model
    inputs = [batch[name] for name in names if name in batch]
    settings = {"vision_feature_layer": -2, "vision_feature_select_strategy": "default"}
    with torch.no_grad():
        found = getattr(owner, method)(*inputs, **settings if "LlavaNextVideo" in type(model).__name__ else {})

    found = found.last_hidden_state if method == "get_audio_features" else found.pooler_output
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in ([found] if torch.is_tensor(found) else found)])


@every_case
def test_the_mask_holds_irrelevant_tokens_only(loaded, family, keys):
    """By hand, token by token: in the visual question audio and text, in the audio question frames and text."""
    data, model = loaded(family, **keys)
    examples = list(data.train)
    batch = data.collator(model=model)(examples)
    media = {data.tokenizer.convert_tokens_to_ids(token): kind for token, kind in MEDIA_TOKENS[family].items()}
    definition = ALL[family]
    template = {*definition.special_tokens, *definition.named_tokens.values()} - set(MEDIA_TOKENS[family])
    special = set(data.tokenizer.convert_tokens_to_ids(sorted(template))) | set(data.tokenizer.all_special_ids)
    seen = set()
    for index, (example, row) in enumerate(flatten(examples)):
        relevant = {VIDEO: "video", AUDIO: "audio", TEXT: "text"}[example["relevant"]]
        expected = []
        # questions about clips begin with them; what is before is the system prompt and the user's header
        first = next((place for place, token in enumerate(row["input_ids"]) if token in media), 0)
        for place, (token, label) in enumerate(zip(row["input_ids"], row["labels"])):
            kind = media.get(token) or ("template" if token in special or place < first else "text")
            expected.append(label == -100 and kind not in ("template", relevant))
            seen.add((relevant, kind, expected[-1]))

        mask = batch["perturbation_mask"][index].tolist()
        assert mask[: len(expected)] == expected and not any(mask[len(expected) :])

    assert ("video", "text", True) in seen and ("text", "video", True) in seen
    if family == "qwen2_5_omni":
        assert {("video", "audio", True), ("audio", "video", True), ("audio", "text", True)} <= seen
        assert {("video", "video", False), ("audio", "audio", False)} <= seen


def test_a_video_and_an_image_with_the_same_tokens(checkpoint, folder, tmp_path):
    """InternVL: what has made a token decides on the mask, and every token gets the feature of its own medium."""
    rows = []
    for index in range(2):
        turns = ["<video>What moves? <image>And here?", "Dogs."]
        image = folder / f"{index}.png"
        Image.new("RGB", (16, 16), ("red", "green")[index]).save(image)
        said = [{"from": speaker, "value": turn} for speaker, turn in zip(("human", "gpt"), turns)]
        rows.append({"conversations": said, "videos": [f"{index}.mp4"], "images": [image.name]})

    (folder / "mixed.json").write_text(json.dumps(rows))
    info = json.loads((folder / "dataset_info.json").read_text())
    columns = {"messages": "conversations", "videos": "videos", "images": "images"}
    twins = {"relevant": ["video"], "perturbations": ["random_pixels"]}
    info["mixed"] = {"file_name": "mixed.json", "formatting": "sharegpt_twins", "columns": columns, "twins": twins}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    path = checkpoint("internvl")
    data = load_data(recipe(path, "intern_vl", folder, tmp_path, dataset="mixed,seen"))
    model = AutoModelForImageTextToText.from_pretrained(path)
    examples = list(data.train)
    collator = data.collator(model=model)
    batch = collator(examples)
    token = data.tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    for index, (example, _) in enumerate(flatten(examples)):
        kinds = batch["token_modality"][index][batch["input_ids"][index] == token].tolist()
        image = [Modality.IMAGE.bit] * 4 if example["dataset"] == "mixed" else []
        assert kinds == [VIDEO] * (len(kinds) - len(image)) + image and len(kinds) > len(image)
        masked = batch["perturbation_mask"][index] & (batch["input_ids"][index] == token)
        assert int(masked.sum()) == (4 if example["dataset"] == "mixed" else 0)

    parts = ModelParts.of(model)
    found = []
    for rows in (batch, *(collator([example | {"variants": []}]) for example in examples)):
        inputs = TwinBatch.split(rows)
        with torch.no_grad(), parts.hooked(media_features=parts.media_features(inputs.feature_index)):
            found.append(model.model.get_image_features(pixel_values=rows["pixel_values"]).pooler_output)

    starts = batch["twin_of"].unique().tolist()
    places = (batch["input_ids"] == token).nonzero()[:, 0]
    together = [found[0].flatten(0, -2)[places == start] for start in starts]
    for own, alone in zip(together, found[1:]):
        torch.testing.assert_close(own, alone.flatten(0, -2), atol=1e-5, rtol=1e-4)

    with pytest.raises(ModalityInterferenceError, match="a video before an image"):
        collator.for_evaluation(Purpose.GENERATION)(examples)


def test_a_removed_modality_is_black_or_silent_and_as_long(loaded):
    data, model = loaded("qwen2_5_omni")
    collator = data.collator(model=model)
    examples = {example["relevant"]: example for example in data.train if example["dataset"] == "clips"}
    for relevant, name, pixels in ((AUDIO, "black_frames", True), (VIDEO, "silence", False)):
        example = examples[relevant]
        (twin,) = (item for item in example["variants"] if item["perturbation"] == name)
        assert [len(twin["input_ids"]), twin["labels"]] == [len(example["input_ids"]), example["labels"]]
        assert twin["input_ids"] == example["input_ids"]
        clean = collator([example | {"variants": []}])
        alone = collator([example | twin | {"variants": []}])
        assert torch.equal(alone["position_ids"], clean["position_ids"])
        if pixels:
            black = torch.tensor([(0 - mean) / std for mean, std in zip(*image_statistics(data))])
            patches = alone["pixel_values_videos"].unflatten(1, (3, -1))
            torch.testing.assert_close(patches, black[None, :, None].expand_as(patches), atol=1e-5, rtol=1e-5)
            assert torch.equal(alone["input_features"], clean["input_features"])
        else:
            assert len(alone["input_features"][0][:, :100].unique()) == 1
            assert torch.equal(alone["feature_attention_mask"], clean["feature_attention_mask"])
            assert torch.equal(alone["pixel_values_videos"], clean["pixel_values_videos"])


def test_a_swapped_modality_is_as_long_as_the_rows_own(loaded):
    """The partner of every clip is longer, but that of the longest, which is much shorter."""
    data, model = loaded("qwen2_5_omni")
    collator = data.collator(model=model)
    for example in data.train:
        swaps = [item for item in example["variants"] if item["perturbation"].startswith("swapped")]
        for twin in swaps if example["dataset"] == "clips" else []:
            kind = twin["perturbation"].removeprefix("swapped_")
            assert twin[f"{kind}_references"] == ["extra:0:row:0"]
            assert twin["input_ids"] == example["input_ids"]
            clean = collator([example | {"variants": []}])
            alone = collator([example | twin | {"variants": []}])
            assert torch.equal(alone["position_ids"], clean["position_ids"])
            assert torch.equal(alone["feature_attention_mask"], clean["feature_attention_mask"])
            assert torch.equal(alone["video_second_per_grid"], clean["video_second_per_grid"])
            assert torch.equal(alone["pixel_values_videos"], clean["pixel_values_videos"]) == (kind == "audio")
            assert torch.equal(alone["input_features"], clean["input_features"]) == (kind == "video")


def image_statistics(data: Loaded) -> tuple[Any, Any]:
    return data.processor.video_processor.image_mean, data.processor.video_processor.image_std


def test_every_clip_of_a_batch_is_read_once(loaded, monkeypatch):
    data, model = loaded("qwen2_5_omni")
    opened: list[str] = []
    stock_open = av.open

    def counting_open(path, *args, **kwargs):
        opened.append(str(path))
        return stock_open(path, *args, **kwargs)

    monkeypatch.setattr(av, "open", counting_open)
    examples = [example for example in data.train if example["dataset"] == "clips"]
    data.collator(model=model)(examples)
    assert len(examples) == 8 and len(flatten(examples)) == 8 * 5
    files = [f"{i}.{suffix}" for i in range(4) for suffix in ("mp4", "wav")]
    assert sorted(Path(path).name for path in opened) == files


def test_a_clip_that_vanishes_leaves_its_batch(loaded, folder):
    data, model = loaded("qwen2_5_omni")
    examples = [example for example in data.train if example["dataset"] == "clips"]
    collator = data.collator(model=model)
    whole = collator(examples)
    moved = (folder / "2.wav").rename(folder / "gone.wav")
    try:
        batch = collator(examples)
    finally:
        moved.rename(folder / "2.wav")

    # both questions about clip 2, and the visual one about clip 1, whose partner it is
    assert [len(whole["twin_of"]), len(batch["twin_of"])] == [40, 25]


# positions


def interleaved_by_hand(row: dict[str, Any], names: dict[str, int], seconds_per_grid: float, frame: tuple) -> Any:
    """(3, tokens) positions of one video that is interleaved with its audio, written down from the paper's description."""
    ids = row["input_ids"]
    places = np.zeros((3, len(ids)), dtype=int)
    start = ids.index(names["vision_bos"])
    places[:, :start] = np.arange(start)
    places[:, start : start + 2] = start  # the two marks share a position
    base, height, width = start + 1, *frame
    end = ids.index(names["audio_eos"])
    videos = audios = 0
    for place in range(start + 2, end):
        if ids[place] == names["video"]:
            time, rest = divmod(videos, height * width)
            places[:, place] = base + np.array([int(time * seconds_per_grid * 25), *divmod(rest, width)])
            videos += 1
        else:
            places[:, place] = base + audios
            audios += 1

    # transformers goes on from the last chunk's greatest position
    after = places[:, end - 1].max() if ids[end - 1] == names["audio"] else places[:, start + 2 : end].max()
    places[:, end : end + 2] = after + 1
    places[:, end + 2 :] = after + 2 + np.arange(len(ids) - end - 2)
    return places


def test_positions_of_rows_with_and_without_audio_in_one_batch(loaded):
    """`use_audio_in_video` and rows that have video only: wrong positions in LLaMA-Factory, right ones here."""
    data, model = loaded("qwen2_5_omni", dataset="clips,seen", use_audio_in_video=True)
    collator = data.collator(model=model)
    clips = [example for example in data.train if example["dataset"] == "clips"][:2]
    seen = [example for example in data.train if example["dataset"] == "seen"][:2]
    together = collator([clips[0], seen[0], clips[1], seen[1]])["position_ids"]
    parts, start = [collator([example])["position_ids"] for example in (clips[0], seen[0], clips[1], seen[1])], 0
    for part, example in zip(parts, (clips[0], seen[0], clips[1], seen[1])):
        for row, (_, feature) in enumerate(flatten([example])):
            length = len(feature["input_ids"])
            assert torch.equal(together[:, start + row, :length], part[:, row, :length])

        start += part.shape[1]

    off, _ = loaded("qwen2_5_omni", dataset="seen")  # where LLaMA-Factory is right
    expected = stock_batch(off, model, flatten([seen[0]]))["position_ids"]
    tokens = len(seen[0]["input_ids"])
    assert torch.equal(parts[1][:, 0, :tokens], expected[:, 0, :tokens])
    wrong = stock_batch(data, model, flatten([seen[0]]))["position_ids"]
    assert not torch.equal(wrong[:, 0, :tokens], expected[:, 0, :tokens])

    ids = {name: data.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_bos", "audio_eos")}
    ids |= {"video": data.tokenizer.convert_tokens_to_ids("<|VIDEO|>")}
    ids |= {"audio": data.tokenizer.convert_tokens_to_ids("<|AUDIO|>")}
    batch = collator([clips[0] | {"variants": []}])
    grid = batch["video_grid_thw"][0].tolist()
    frame = (grid[1] // 2, grid[2] // 2)
    by_hand = interleaved_by_hand(clips[0], ids, float(batch["video_second_per_grid"][0]), frame)
    own = batch["position_ids"][1:, 0, : by_hand.shape[1]]
    assert torch.equal(own, torch.from_numpy(by_hand))


def test_generation_refuses_to_mix_what_it_would_get_wrong(loaded):
    data, _ = loaded("qwen2_5_omni", dataset="clips,seen", use_audio_in_video=True)
    collator = data.collator().for_evaluation(Purpose.GENERATION)
    clips = [example for example in data.train if example["dataset"] == "clips"]
    seen = [example for example in data.train if example["dataset"] == "seen"]
    assert collator(clips)["use_audio_in_video"] is True
    assert "use_audio_in_video" not in collator(seen)
    with pytest.raises(ModalityInterferenceError, match="diagnosis_scoring: likelihood"):
        collator([clips[0], seen[0]])


def test_clips_with_their_own_audio(loaded):
    """Without a column of audio, a clip's own audio track is used, interleaved with the frames or before them."""
    assert "own_sound" not in COLUMNS
    own, model = loaded("qwen2_5_omni", dataset="own_sound")
    files, _ = loaded("qwen2_5_omni", dataset="clips")
    for ours, theirs in zip(own.train, files.train):
        assert [Path(path).suffix for path in ours["audios"]] == [".mp4"]
        assert ours["relevant"] == theirs["relevant"] and len(ours["variants"]) == len(theirs["variants"])
        paths = [Path(path).name for path in (*ours["audios"], *(ours["twin_audios"] or ()))]
        assert paths == [
            Path(path).name.replace("wav", "mp4") for path in (*theirs["audios"], *(theirs["twin_audios"] or ()))
        ]
