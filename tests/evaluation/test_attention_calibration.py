"""`attention_calibration` against attention that is written out: single rows in float64, without padding, cache or shared prefixes."""

import json
import shutil
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from helpers.loading import load_data
from helpers.runs import COLOURS, recipe, write_turns
from helpers.tiny_models import FAMILIES
from llamafactory.train.tuner import run_exp
from PIL import Image
from transformers import AutoModelForImageTextToText, DynamicCache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from modality_interference.attention.prefix import CommonPrefixes
from modality_interference.attention.row_attention import RowAttention
from modality_interference.batching.answer_logits import Answers
from modality_interference.batching.batch import TwinBatch
from modality_interference.batching.collator import Purpose
from modality_interference.errors import ModalityInterferenceError
from modality_interference.evaluation.attention_calibration import CalibratedAttention
from modality_interference.evaluation.scoring import score_likelihood
from modality_interference.modality import IGNORE_LABEL, MEDIA, Modality
from modality_interference.results import read_diagnosis, read_rows
from modality_interference.train.hooks import ModelParts


CONSTANT = 1.7
EXACT = 2e-6  # models in float64 compute norms, angles and the softmax of eager attention in float32


@dataclass
class ByHand:
    """An attention function of one row: the softmax of scores, of which some have a constant more.

    Attributes:
        constant: that they have more.
        keys: of which tokens.
        start: of which queries, the first one.
        layers: in which layers.
        seen: (heads, tokens, tokens) the attention of each layer.
    """

    constant: float = CONSTANT
    keys: list = field(default_factory=list)
    start: int = 0
    layers: tuple = (0, 1)
    seen: dict = field(default_factory=dict)

    def __call__(self, module, query, key, value, mask, scaling=None, sliding_window=None, **kwargs):
        heads, tokens = query.shape[1:3]
        output = torch.zeros_like(query)
        self.seen[module.layer_idx] = torch.zeros(heads, tokens, tokens, dtype=query.dtype)
        for head in range(heads):
            shared = head * key.shape[1] // heads
            scores = query[0, head] @ key[0, shared].T * scaling
            if module.layer_idx in self.layers:
                scores[self.start :, self.keys] += self.constant

            distance = torch.arange(tokens)[:, None] - torch.arange(tokens)
            hidden = (distance < 0) if mask is None else mask[0, 0] < 0
            if sliding_window is not None and mask is None:
                hidden = hidden | (distance >= sliding_window)

            attention = torch.softmax(scores.masked_fill(hidden, -torch.inf), dim=-1)
            self.seen[module.layer_idx][head] = attention
            output[0, head] = attention @ value[0, shared]

        return output.transpose(1, 2), None


class Reference:
    """A model whose text decoder takes one row at a time."""

    def __init__(self, folder) -> None:
        kind = AutoModelForImageTextToText
        self.model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
        self.parts, self.attention = ModelParts.of(self.model), ByHand()

    def prompts(self, batch: TwinBatch) -> dict:
        """What the decoder gets for all rows of a batch."""
        kept: dict = {}

        def keep(kwargs: dict) -> dict:
            kept.update(kwargs)
            return kwargs

        inputs = {name: as_double(value) for name, value in batch.inputs.items()}
        features = self.parts.media_features(batch.feature_index)
        with torch.no_grad(), self.parts.hooked(keep, media_features=features):
            self.model(**inputs, use_cache=False)

        return kept

    def logits(self, kwargs: dict, row: int, attended, written=()) -> torch.Tensor:
        """(tokens, vocabulary) of one row without its padding, and of tokens that were written behind it."""
        embeds = kwargs["inputs_embeds"][row : row + 1, attended]
        positions = kwargs.get("position_ids")
        if positions is not None:
            positions = positions[..., row : row + 1, attended]
            steps = torch.arange(1, len(written) + 1).expand(*positions.shape[:-1], -1)
            positions = torch.cat([positions, positions.amax() + steps], dim=-1)

        more = self.model.get_input_embeddings()(torch.tensor([list(written)], dtype=torch.long))
        masks = kwargs.get("attention_mask")
        if isinstance(masks, dict):
            masks = {name: mask[row : row + 1, :, attended][..., attended] for name, mask in masks.items()}
        else:
            masks = None

        config = self.parts.decoder.config
        config._attn_implementation = "by_hand"
        ALL_ATTENTION_FUNCTIONS["by_hand"] = self.attention
        ALL_MASK_ATTENTION_FUNCTIONS["by_hand"] = eager_mask
        try:
            with torch.no_grad():
                hidden = self.parts.decoder(
                    inputs_embeds=torch.cat([embeds, more], dim=1),
                    position_ids=positions,
                    attention_mask=masks,
                    use_cache=False,
                ).last_hidden_state
                return self.parts.head(hidden)[0]
        finally:
            config._attn_implementation = "eager"

    def answer_logits(self, batch: TwinBatch, tokens="relevant", layers=(0, 1), constant=CONSTANT) -> torch.Tensor:
        """(positions, vocabulary) at the answer positions of all rows."""
        kwargs, found = self.prompts(batch), []
        for row in range(len(batch.labels)):
            attended = batch.inputs["attention_mask"][row].bool()
            self.attention = self.bias(batch, row, tokens, layers, constant)
            logits = self.logits(kwargs, row, attended)
            found.append(logits[batch.answer_positions[row][attended]])

        return torch.cat(found)

    def bias(self, batch: TwinBatch, row: int, tokens: str, layers=(0, 1), constant=CONSTANT) -> ByHand:
        """What a row's scores get, among its tokens without padding."""
        attended = batch.inputs["attention_mask"][row].bool().tolist()
        places = [place for place, there in enumerate(attended) if there]
        bits, relevant = batch.token_modality[row].tolist(), int(batch.relevant[row])
        media = {modality.bit for modality in MEDIA}
        keys = [
            index
            for index, place in enumerate(places)
            if bits[place] in media and (bits[place] & relevant > 0) == (tokens == "relevant")
        ]
        return ByHand(constant, keys, places.index(int(batch.decision[row])), layers)


def as_double(value):
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def keys(checkpoint, family, folder, output, **overrides):
    common = dict(do_train=False, do_eval=True, dataset=None, max_steps=None, overwrite_output_dir=True)
    return recipe(
        checkpoint,
        FAMILIES[family].template,
        folder,
        output,
        **{**common, "per_device_eval_batch_size": 3, **overrides},
    )


def batch_of(loaded, model, purpose=Purpose.LIKELIHOOD, most=100) -> TwinBatch:
    collator = loaded.collator(model=model if purpose is Purpose.LIKELIHOOD else None).for_evaluation(purpose)
    return TwinBatch.split(collator([dict(example) for example in list(loaded.evaluation)[:most]]))


@pytest.fixture(scope="module")
def dialogues(tmp_path_factory):
    """Rows of the same tokens that depend on other modalities, and a row that goes on behind another one's answer."""
    folder = tmp_path_factory.mktemp("dialogues")
    rows = []
    for index, colour in enumerate(COLOURS[:2]):
        Image.new("RGB", (40 + 8 * index, 40), colour).save(folder / f"{colour}.png")
        said = ["<image>Is ten more than six?", "yes, it is", "And which colour is it?", colour]
        said = [{"from": speaker, "value": text} for speaker, text in zip(("human", "gpt") * 2, said)]
        for turns, relevant in ((2, ["image"]), (2, ["text"]), (4, ["image"])):
            rows.append({"messages": said[:turns], "images": [f"{colour}.png"], "relevant": relevant})

    entry = {"file_name": "dialogues.json", "formatting": "sharegpt_twins"}
    entry |= {"columns": {"messages": "messages", "images": "images"}, "twins": {"relevant": "relevant"}}
    (folder / "dialogues.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"dialogues": entry}))
    return folder


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    return write_turns(tmp_path_factory.mktemp("turns"))


def calibrated_logits(model, batch, share, tokens="relevant", layers=(0, 1), constant=CONSTANT):
    """(positions, vocabulary) as an evaluation computes them."""
    calibrated = CalibratedAttention(batch, constant, tokens, list(layers), continued=False)
    parts, rows = ModelParts.of(model), torch.arange(len(batch.labels))
    attention = (
        RowAttention(CommonPrefixes(batch, False, None, calibrated.marks).pack(rows, rows[:0])) if share else None
    )
    features = parts.media_features(batch.feature_index)
    hooked = parts.hooked(calibrated.edit, batch.answer_positions, features, row_attention=attention)
    with torch.no_grad(), hooked:
        logits = model(**{name: as_double(value) for name, value in batch.inputs.items()}, use_cache=False).logits

    calibrated.check()
    return logits


@pytest.mark.parametrize(
    ("family", "kernel", "share", "data", "tokens", "layers"),
    [
        ("qwen2_5_vl", "sdpa", True, "pictures,sums", "relevant", (0, 1)),
        ("qwen2_5_vl", "sdpa", True, "dialogues", "relevant", (0, 1)),
        ("llava", "eager", True, "dialogues", "irrelevant", (0, 1)),
        ("gemma3", "eager", True, "dialogues", "relevant", (0,)),  # a sliding window, masks of its own
        ("gemma3", "sdpa", False, "pictures,sums", "irrelevant", (1,)),
    ],
)  # fmt: skip
def test_likelihoods(family, kernel, share, data, tokens, layers, checkpoint, datasets, dialogues, tmp_path):
    folder = dialogues if data == "dialogues" else datasets
    loaded = load_data(keys(checkpoint(family), family, folder, tmp_path, eval_dataset=data, max_samples=3))
    kind = AutoModelForImageTextToText
    model = kind.from_pretrained(checkpoint(family), attn_implementation=kernel, dtype=torch.float64).eval()
    batch, reference = batch_of(loaded, model), Reference(checkpoint(family))
    assert not batch.inputs["attention_mask"].bool().all()  # padded
    expected = reference.answer_logits(batch, tokens, layers)
    found = calibrated_logits(model, batch, share, tokens, layers)
    assert torch.allclose(found, expected, atol=EXACT)
    off = reference.answer_logits(batch, tokens, layers, constant=0.0)
    assert (expected - off).abs().amax() > 0.05
    none = calibrated_logits(model, batch, share, tokens, layers, constant=0.0)
    assert torch.allclose(none, off, atol=EXACT)


RUN = dict(attention_calibration=CONSTANT, attention_probe=True)


def test_a_run_by_likelihoods(checkpoint, datasets, tmp_path):
    """Confidences and effects are those of the changed attention, and so are the probe's shares."""
    settings = dict(eval_dataset="pictures", max_samples=4, share_prefix=True, attention_calibration_layers="1")
    run_exp(keys(checkpoint("qwen2_5_vl"), "qwen2_5_vl", datasets, tmp_path / "run", **settings, **RUN))
    loaded = load_data(keys(checkpoint("qwen2_5_vl"), "qwen2_5_vl", datasets, tmp_path, **settings))
    reference = Reference(checkpoint("qwen2_5_vl"))
    batch = batch_of(loaded, reference.model)
    answers = Answers.of(reference.answer_logits(batch, layers=(1,)), batch.labels, batch.last_answer)
    expected = {row.identity: row for row in score_likelihood(batch.questions, answers, str)}
    found = {row.identity: row for row in read_rows(tmp_path / "run")}
    assert found.keys() == expected.keys() and len(found) == 12
    for identity, row in found.items():
        assert row.answer == expected[identity].answer
        assert row.confidence == pytest.approx(expected[identity].confidence, abs=1e-4)
        assert row.causal_effect == pytest.approx(expected[identity].causal_effect, abs=1e-4)

    diagnosis = read_diagnosis(tmp_path / "run")
    assert diagnosis.calibration.model_dump() == {"constant": CONSTANT, "tokens": "relevant", "layers": "1"}
    assert "with changed attention (+1.7 nats on relevant media tokens, layers 1)" in page_of(tmp_path / "run")
    (clean,) = [one for one in diagnosis.attention.conditions if one.perturbation == "clean"]
    shares = shares_by_hand(reference, batch)
    assert np.array(clean.heads)[..., 1] == pytest.approx(shares, abs=3e-5)
    assert diagnosis.attention.groups[1] == "image"


def page_of(folder):
    return (folder / "interference.html").read_text()


def shares_by_hand(reference, batch):
    """(layers, heads) mean over clean rows of the attention to the image at the position that decides."""
    kwargs, found = reference.prompts(batch), []
    for row in batch.clean_rows.tolist():
        attended = batch.inputs["attention_mask"][row].bool()
        reference.attention = by_hand = reference.bias(batch, row, "relevant", (1,))
        reference.logits(kwargs, row, attended)
        found.append([by_hand.seen[layer][:, by_hand.start, by_hand.keys].sum(dim=-1).numpy() for layer in (0, 1)])

    return np.mean(found, axis=0)


@pytest.fixture(scope="module")
def windowed(checkpoint, tmp_path_factory):
    """A model whose first layer sees 70 tokens back, so half of an image; its cache keeps no more of them."""
    folder = tmp_path_factory.mktemp("windowed") / "model"
    shutil.copytree(checkpoint("qwen2_5_vl"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {
        "use_sliding_window": True, "sliding_window": 70, "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("window", "overrides"),
    [
        (False, dict(share_prefix=True)),
        (True, dict(attention_calibration_tokens="irrelevant", eval_dataset="sums", flash_attn="disabled")),
    ],
)
def test_generated_answers(window, overrides, checkpoint, windowed, turns, datasets, tmp_path):
    """Prompts padded on the left, a cache, a cache with a window; row by row and token by token in the reference."""
    folder = windowed if window else checkpoint("qwen2_5_vl")
    data = datasets if "eval_dataset" in overrides else turns
    settings = {"eval_dataset": "turns", "diagnosis_scoring": "generate", "max_samples": 4, **overrides}
    settings |= dict(predict_with_generate=True, max_new_tokens=5, attention_calibration=6.0)
    settings |= dict(attention_calibration_layers="0") if window else {}
    run_exp(keys(folder, "qwen2_5_vl", data, tmp_path / "run", **settings))
    found = {row.identity: row.response for row in read_rows(tmp_path / "run")}
    loaded, reference = load_data(keys(folder, "qwen2_5_vl", data, tmp_path, **settings)), Reference(folder)
    batch = batch_of(loaded, reference.model, Purpose.GENERATION)
    batch.inputs["position_ids"] = rope_positions(reference.model, batch)
    tokens = settings.get("attention_calibration_tokens", "relevant")
    layers = (0,) if window else (0, 1)
    written = [
        {
            (question.dataset, question.row, question.perturbation): reference_text(
                loaded, reference, batch, question.batch_row, tokens, layers, constant
            )
            for question in batch.questions
        }
        for constant in (6.0, 0.0)
    ]
    assert found == written[0]
    assert written[0] != written[1]


def rope_positions(model, batch):
    """(axes, rows, tokens), which `generate` makes of prompts."""
    types = (batch.inputs["input_ids"] == model.config.image_token_id).int()
    grids = batch.inputs["image_grid_thw"]
    return model.model.get_rope_index(
        batch.inputs["input_ids"], types, image_grid_thw=grids, attention_mask=batch.inputs["attention_mask"]
    )[0]


def reference_text(loaded, reference, batch, row, tokens, layers, constant):
    """Five tokens, or those up to the turn's end."""
    kwargs, attended, ids = reference.prompts(batch), batch.inputs["attention_mask"][row].bool(), []
    reference.attention = reference.bias(batch, row, tokens, layers, constant)
    while len(ids) < 5 and (not ids or ids[-1] != loaded.tokenizer.eos_token_id):
        ids.append(int(reference.logits(kwargs, row, attended, ids)[-1].argmax()))

    kept = [token for token in ids if token not in loaded.tokenizer.all_special_ids]
    return loaded.tokenizer.decode(kept, skip_special_tokens=False)


def test_nothing_changes_with_a_constant_of_0(checkpoint, turns, tmp_path):
    for name, settings in (("off", {}), ("zero", dict(attention_calibration=0, attention_calibration_layers="1"))):
        settings |= dict(eval_dataset="turns")
        run_exp(keys(checkpoint("qwen2_5_vl"), "qwen2_5_vl", turns, tmp_path / name, max_samples=2, **settings))

    off, zero = ((tmp_path / name / "interference_rows.jsonl").read_bytes() for name in ("off", "zero"))
    assert off == zero
    assert read_diagnosis(tmp_path / "zero").calibration is None and "with changed attention" not in page_of(
        tmp_path / "zero"
    )


def test_layers_that_the_model_has_not_are_refused(checkpoint, turns, tmp_path):
    settings = dict(eval_dataset="turns", attention_calibration=1.0, attention_calibration_layers="1-2")
    with pytest.raises(
        ModalityInterferenceError, match="`attention_calibration_layers` is '1-2', but .* 2 layers, 0 to 1"
    ):
        run_exp(keys(checkpoint("qwen2_5_vl"), "qwen2_5_vl", turns, tmp_path, **settings))


def prompt_batch():
    """A prompt of five tokens behind one of padding; the third and fourth are an image, which its answer depends on."""
    ids = torch.tensor([[0, 5, 5, 9, 9, 5]])
    bits = torch.tensor([[0, 1, 1, Modality.IMAGE.bit, Modality.IMAGE.bit, 1]], dtype=torch.int8)
    return TwinBatch(
        inputs={"input_ids": ids, "attention_mask": (ids > 0).long()}, labels=torch.full_like(ids, IGNORE_LABEL),
        twin_of=torch.zeros(1).long(), row_key=torch.zeros(1).long(), perturbation_mask=ids < 0, media_index=None,
        questions=None, token_modality=bits, relevant=torch.tensor([Modality.IMAGE.bit]),
    )  # fmt: skip


def test_forwards_that_cannot_be_followed():
    calibrated = CalibratedAttention(prompt_batch(), 1.0, "relevant", [0, 1], continued=True)
    with pytest.raises(
        ModalityInterferenceError, match="a prompt of 6 tokens in one forward; this one has 3 .* behind 0 others"
    ):
        calibrated.edit({"inputs_embeds": torch.zeros(1, 3, 4), "past_key_values": DynamicCache()})


def test_layers_that_were_not_reached():
    calibrated = CalibratedAttention(prompt_batch(), 1.0, "relevant", [0, 1], continued=True)
    calibrated.reached.add(0)
    with pytest.raises(ModalityInterferenceError, match="reached 1 of 2 layers: 1 do not compute"):
        calibrated.check()


def test_rows_of_which_nothing_is_known_keep_their_attention():
    batch = prompt_batch()
    batch.relevant[:] = 0
    for tokens in ("relevant", "irrelevant"):
        calibrated = CalibratedAttention(batch, 1.0, tokens, [0], continued=True)
        kwargs = {"inputs_embeds": torch.zeros(1, 6, 4)}
        assert calibrated.edit(kwargs) is kwargs and not calibrated.marks.any()
        calibrated.check()
