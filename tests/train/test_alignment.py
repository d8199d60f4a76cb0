"""The alignment loss against autograd through the full maps of eager attention, in float64."""

import math

import pytest
import torch
from helpers.tiny_models import FAMILIES
from transformers import AutoModelForImageTextToText

from modality_interference.arguments import PLUGIN_NAME, PluginArguments
from modality_interference.batching.batch import TwinBatch
from modality_interference.errors import ModalityInterferenceError
from modality_interference.modality import Modality
from modality_interference.train.alignment import Alignment, aligned_rows, chosen_layers
from modality_interference.train.hooks import ModelParts


NO = -100
TEXT, VIDEO, AUDIO, NONE = Modality.TEXT.bit, Modality.VIDEO.bit, Modality.AUDIO.bit, 0
TOKENS = 44
WEIGHT = 0.3
BEGINNING = 2  # tokens of the second row's answer that all of its options begin with
FAMILY = "qwen2_5_vl"
CHECKED = ("qwen2_5_vl", "qwen3_vl", "llava", "internvl", "gemma3")


def row(bits, answer, relevant, generator):
    """A row whose modality bits are given as runs, and whose last tokens are the answer; padded to TOKENS."""
    bits = [bit for bit, count in bits for _ in range(count)]
    padding = TOKENS - len(bits)
    ids = torch.randint(300, 500, (len(bits),), generator=generator).tolist() + [1] * padding
    labels = [NO] * (len(bits) - answer) + ids[len(bits) - answer : len(bits)] + [NO] * padding
    return ids, labels, bits + [NONE] * padding, [1] * len(bits) + [0] * padding, relevant


def make_batch(family=FAMILY):
    """Rows about video and about audio, answers of 1 to 3 tokens, and rows that do not count."""
    rng = torch.Generator().manual_seed(0)
    rows = [
        row([(TEXT, 3), (VIDEO, 5), (NONE, 1), (AUDIO, 4), (TEXT, 6)], 2, VIDEO, rng),
        row([(AUDIO, 3), (TEXT, 6), (VIDEO, 9), (TEXT, 20), (AUDIO, 2), (TEXT, 4)], 3, AUDIO, rng),
        row([(VIDEO, 9), (TEXT, 9)], 1, VIDEO, rng),  # one modality only
        row([(VIDEO, 4), (AUDIO, 4), (TEXT, 9)], 1, TEXT, rng),  # no relevant media
        row([(VIDEO, 4), (AUDIO, 4), (TEXT, 9)], 1, VIDEO | AUDIO, rng),  # nothing irrelevant
        row([(VIDEO, 4), (AUDIO, 4), (TEXT, 9)], 1, 0, rng),  # nothing known
        row([(TEXT, 2), (AUDIO, 4), (VIDEO, 6), (TEXT, 9)], 1, AUDIO | TEXT, rng),
    ]
    ids, labels, bits, attended, relevant = (torch.tensor(column) for column in zip(*rows))
    inputs = {"input_ids": ids, "attention_mask": attended}
    if FAMILIES[family].needs_token_type_ids:
        inputs["token_type_ids"] = torch.zeros_like(ids)

    count = torch.arange(len(ids))
    known = {
        "beginning": torch.tensor([0, BEGINNING, 0, 0, 0, 0, 0]),
        "token_modality": bits.to(torch.int8),
        "relevant": relevant,
        "perturbation_mask": torch.zeros_like(ids).bool(),
    }
    return TwinBatch.split({**inputs, **known, "labels": labels, "twin_of": count, "row_key": count})


def load(checkpoint, implementation):
    return AutoModelForImageTextToText.from_pretrained(
        checkpoint, attn_implementation=implementation, dtype=torch.float64
    ).train()


def full_precision(monkeypatch):
    """Eager attention takes its softmax in float32, whatever the model's type."""
    stock = torch.nn.functional.softmax
    monkeypatch.setattr(torch.nn.functional, "softmax", lambda values, dim, **_: stock(values, dim=dim))


def reference(model, batch, layers):
    """Token by token, from full maps."""
    output = model(**batch.inputs, output_attentions=True, use_cache=False)
    rows = []
    for index in range(len(batch.labels)):
        bits, relevant = batch.token_modality[index].tolist(), int(batch.relevant[index])
        wanted = [t for t, bit in enumerate(bits) if bit in (VIDEO, AUDIO) and bit & relevant]
        unwanted = [t for t, bit in enumerate(bits) if bit in (VIDEO, AUDIO) and not bit & relevant]
        place = next(t for t in range(TOKENS - 1) if batch.labels[index, t + 1] != NO) + (
            BEGINNING if index == 1 else 0
        )
        if not (wanted and unwanted and relevant):
            continue

        terms = []
        for layer in layers:
            for full in output.attentions[layer][index]:  # a head
                right, wrong = full[place, wanted].sum(), full[place, unwanted].sum()
                seen = right > 0 and wrong > 0  # not outside of a sliding window
                terms.append(-torch.log(right / (right + wrong)) if seen else right * 0)

        rows.append(sum(terms) / len(terms))

    return output.logits, sum(rows), len(rows)


def gradients(model, logits, total):
    model.zero_grad()
    (logits.square().mean() + WEIGHT * total).backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize(
    ("family", "checkpointing", "layers"),
    [
        *[(family, kind, [0, 1]) for family in CHECKED for kind in ("none", "reentrant", "non-reentrant")],
        *[(FAMILY, kind, [1]) for kind in ("none", "reentrant", "non-reentrant")],
    ],
)
def test_value_and_gradients(family, checkpointing, layers, checkpoint, monkeypatch):
    full_precision(monkeypatch)
    batch = make_batch(family)
    eager = load(checkpoint(family), "eager")
    logits, total, rows = reference(eager, batch, layers)
    expected = gradients(eager, logits, total)

    model = load(checkpoint(family), "sdpa")
    if checkpointing != "none":
        model.gradient_checkpointing_enable({"use_reentrant": checkpointing == "reentrant"})

    alignment = Alignment(batch, layers)
    with ModelParts.of(model).hooked(alignment.edit):
        own_logits = model(**batch.inputs, use_cache=False).logits

    own_logits, own_total = alignment.measured(own_logits)
    assert alignment.rows == rows == 3
    assert own_total.item() == pytest.approx(total.item(), rel=1e-10) and total.item() > 0.1
    found = gradients(model, own_logits, own_total)
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-7, atol=1e-10), name

    changed = [name for name in found if "q_proj" in name or "k_proj" in name]
    without = gradients(model, model(**batch.inputs, use_cache=False).logits, 0)
    assert any(not torch.allclose(found[name], without[name], rtol=1e-3) for name in changed)


def test_copies_behind_the_rows_do_not_count(checkpoint):
    model, batch = load(checkpoint(FAMILY), "sdpa"), make_batch()
    parts = ModelParts.of(model)
    totals = []
    for extra in (0, 2):
        alignment = Alignment(batch, [0, 1])
        inputs = {key: torch.cat([value, value[:extra].flip(0)]) for key, value in batch.inputs.items()}
        with torch.no_grad(), parts.hooked(alignment.edit):
            logits = model(**inputs, use_cache=False).logits

        totals.append(alignment.measured(logits)[1].item())

    assert totals[0] == pytest.approx(totals[1], rel=1e-12)


def test_which_rows_count():
    assert aligned_rows(make_batch()).tolist() == [0, 1, 6]
    batch = make_batch()
    batch.labels[:] = NO
    assert aligned_rows(batch).tolist() == []


def test_even_attention_on_hand_computed_tokens():
    """Queries of zero attend to all keys alike: -log(5 / 9) in row 0, -log(5 / 14) in row 1, -log(4 / 10) in row 6."""
    from modality_interference.attention.interface import AttentionInputs

    batch = make_batch()
    alignment = Alignment(batch, [0])
    zeros = torch.zeros(len(batch.labels), 2, TOKENS, 4, dtype=torch.float64)
    inputs = AttentionInputs(
        layer=0, query=zeros, key=zeros[:, :1], value=zeros[:, :1], mask=batch.inputs["attention_mask"], scaling=0.5, softcap=None,
        window=None, causal=True,
    )  # fmt: skip
    alignment.observe(inputs, torch.zeros(1))
    total = alignment.measured(torch.zeros(1))[1]
    assert total.item() == pytest.approx(-math.log(5 / 9) - math.log(5 / 14) - math.log(4 / 10), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "layers"), [("all", range(28)), ("last_half", range(14, 28)), ("3,7,12-14", [3, 7, 12, 13, 14])]
)
def test_layers(text, layers, checkpoint):
    arguments = PluginArguments(plugin=PLUGIN_NAME, alignment_weight=1.0, alignment_layers=text)
    decoder = type("Decoder", (), {"config": type("Config", (), {"num_hidden_layers": 28})})
    assert chosen_layers(arguments, decoder) == list(layers)


def test_a_layer_that_the_model_has_not():
    arguments = PluginArguments(plugin=PLUGIN_NAME, alignment_layers="20-28")
    decoder = type("Decoder", (), {"config": type("Config", (), {"num_hidden_layers": 28})})
    with pytest.raises(ModalityInterferenceError, match="`alignment_layers` is '20-28'.* 28 layers, 0 to 27"):
        chosen_layers(arguments, decoder)


def test_nothing_to_do():
    batch = make_batch()
    assert Alignment.of(batch, PluginArguments(plugin=PLUGIN_NAME), None) is None
    batch.relevant[:] = TEXT
    assert Alignment.of(batch, PluginArguments(plugin=PLUGIN_NAME, alignment_weight=1.0), None) is None
