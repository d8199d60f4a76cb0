"""The table at the start of training, against counts made by hand."""

import pytest
from datasets import Dataset
from helpers.loading import load_data
from helpers.runs import recipe, write_evidence
from llamafactory.train.tuner import run_exp

from modality_interference.arguments import PLUGIN_NAME, PluginArguments
from modality_interference.train import overview as module
from modality_interference.train.overview import KindCounts, count_kinds, loss_terms, overview


# per example of `write_datasets`: twins, and rows with tokens of a modality that the answer does not depend on. Questions about
# images have a text in all three rows; sums have an image in their two twins only; nothing is irrelevant to `both`.
BY_HAND = {"text": (8, 2, 2), "image": (8, 2, 3), "both": (8, 0, 0), "plain": (8, 0, 0)}


@pytest.fixture(scope="module")
def data(checkpoint, datasets, tmp_path_factory):
    keys = recipe(
        checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path_factory.mktemp("out"),
        dataset="pictures,sums,both,plain",
    )  # fmt: skip
    return load_data(keys)


@pytest.fixture(scope="module")
def tokens(data):
    return data.collator().modality_tokens


@pytest.mark.parametrize("limit", [None, 1])
def test_counts_are_those_made_by_hand(data, tokens, limit):
    arguments = PluginArguments(twins_per_example=str(limit or "all"))
    kinds = count_kinds(data.train, tokens, arguments, seed=0)
    assert list(kinds) == list(BY_HAND)
    for kind, (examples, twins, masked) in BY_HAND.items():
        left_out = 1 if limit and twins else 0  # one of two twins, of all of which an attack can change something
        assert kinds[kind] == KindCounts(examples, examples, twins - left_out, masked - left_out, 0)


def test_few_of_many_examples_are_read_some_of_each_kind(data, tokens, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 12)
    kinds = count_kinds(data.train, tokens, PluginArguments(), seed=0)
    assert {kind: (found.examples, found.read) for kind, found in kinds.items()} == dict.fromkeys(BY_HAND, (8, 3))
    text, _ = overview(data.train, tokens, PluginArguments(plugin=PLUGIN_NAME), seed=0)
    assert "Trains on 32 examples; twins and rows estimated from 12 of them" in text


def test_the_table(data, tokens):
    arguments = PluginArguments(plugin=PLUGIN_NAME, batch_mix="image=1,text=3", adversarial_method="gaussian")
    text, warnings = overview(data.train, tokens, arguments, seed=0)
    assert warnings == []
    assert text.splitlines() == [
        "Trains on 32 examples; twins and rows counted in all of them:",
        "  kind of example  examples  twins each  rows each that an attack can change",
        "  text             8         2.00        2.00",
        "  image            8         2.00        3.00",
        "  both             8         0.00        0.00                                 (not in `batch_mix`)",
        "  plain            8         0.00        0.00                                 (not in `batch_mix`)",
        "  term of the loss                 weight  can act",
        "  cross-entropy                    1       yes      on clean rows and twins",
        "  adversarial_method: gaussian     1       yes      on 2.25 rows an example, epsilon 0.05",  # (3 + 3 * 2) / 4
        f"  consistency_method: js           {arguments.consistency_weight:g}".ljust(43)
        + "yes      between a clean row and 4.25 variants",
        "  alignment_weight                 0       off",
        "  counterfactual_method: contrast  0       off",
    ]


def test_the_table_names_the_preset(data, tokens):
    arguments = PluginArguments(
        plugin=PLUGIN_NAME, preset="alignment_tuning", consistency_method="kl", adversarial_method="none"
    )
    text, _ = overview(data.train, tokens, arguments, seed=0)
    assert text.splitlines()[6] == (
        "  `preset: alignment_tuning`: consistency_method: kl, adversarial_method: none, alignment_weight: 0.0 (consistency_method: "
        "the recipe's own)"
    )


def warned(kinds, **keys):
    terms = loss_terms(kinds, PluginArguments(**{"plugin": PLUGIN_NAME, "adversarial_method": "pgd"} | keys))
    return [term.warning for term in terms if term.warning]


def test_terms_that_cannot_act_are_warned_of(data, tokens):
    plain = count_kinds(data.train.filter(lambda row: row["relevant"] == 0), tokens, PluginArguments(), seed=0)
    adversarial, consistency = warned(plain)
    assert adversarial == (
        "`adversarial_method: pgd` has the weight 1 and cannot act: plain datasets do not say which inputs are irrelevant. "
        "Give a dataset a `twins` block whose `relevant` names what its answers depend on, or set `adversarial_method: none`."
    )
    assert "no example has a twin or an adversarial copy. Give a dataset a `twins` block with" in consistency
    assert warned(plain, adversarial_method="none", consistency_method="none") == []
    assert warned(plain, adversarial_weight=0.0, consistency_weight=0.0) == []
    everything = {"both": KindCounts(9000, 1000, 0, 0, 0)}  # all inputs are relevant
    assert "none of the 1,000 examples that were read has tokens of an irrelevant modality" in warned(everything)[0]
    copies = {"image": KindCounts(9, 9, 0, 1, 0)}  # no twins
    assert warned(copies) == []
    assert len(warned(copies, adversarial_method="none")) == 1


def test_alignment_on_images_and_texts_is_warned_of(data, tokens):
    kinds = count_kinds(data.train, tokens, PluginArguments(), seed=0)
    (warning,) = warned(kinds, alignment_weight=0.1)
    assert warning.startswith("`alignment_weight` has the weight 0.1 and cannot act: no example has both media that")
    clips = {"video": KindCounts(9, 9, 2, 3, 3)}
    assert warned(clips, alignment_weight=0.1) == []


def test_counterfactual_rows_with_and_without_a_term(checkpoint, tokens, tmp_path):
    """Two of each row; four rows of each dataset, of which `free` has no options, and none offers an abstention."""
    keys = dict(dataset="letters,free", counterfactual_weight=1.0)
    found = load_data(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", write_evidence(tmp_path), tmp_path, **keys)).train
    for method, limit, expected in (
        ("contrast", "all", "on 2.00 counterfactual rows an example"),
        ("uniform", "1", "on 0.50 counterfactual rows an example; 0.50 more have no options, or abstention as"),
        ("abstain", "all", "all counterfactual rows (2.00 an example) offer no abstention among options"),
    ):
        arguments = PluginArguments(counterfactual_weight=0.3, counterfactual_method=method, twins_per_example=limit)
        text, warnings = overview(found, tokens, arguments, seed=0)
        assert expected in text.splitlines()[-1] and f"counterfactual_method: {method}" in text.splitlines()[-1]
        assert len(warnings) == (method == "abstain")

    assert warnings[0].endswith("Take another `counterfactual_method`, or set `counterfactual_weight: 0`.")
    kinds = {"image": KindCounts(9, 9, 2, 3, 0)}
    (warning,) = warned(kinds, counterfactual_weight=0.3)
    assert "no example has a counterfactual row. Give a dataset a `twins` block with `counterfactuals`" in warning


@pytest.mark.parametrize(
    ("answers", "said"),
    [((2, 2), "All 2 examples that offer an abstention, such as 'Neither', have it"), ((2, 0), None)],
)
def test_abstention_without_its_control_is_warned_of(tokens, answers, said):
    rows = [{"abstention": "Neither", "choices": ["a", "b", "Neither"], "answer": answer} for answer in answers]
    rows += [{"abstention": "", "choices": ["a", "b"], "answer": 0}, {"abstention": None, "choices": [], "answer": -1}]
    plain = {"input_ids": [1, 2], "labels": [-100, 2]}
    _, warnings = overview(Dataset.from_list([row | plain for row in rows]), tokens, PluginArguments(), seed=0)
    found = [warning for warning in warnings if "abstention" in warning]
    assert found == [] if said is None else len(found) == 1 and found[0].startswith(said)


def test_of_a_stream_nothing_is_known(data, tokens):
    everything = {"adversarial_method": "pgd", "alignment_weight": 1.0}
    text, warnings = overview(data.train.to_iterable_dataset(), tokens, PluginArguments(**everything), seed=0)
    assert text.startswith("Trains on a stream") and text.count("unknown") == 3
    assert warnings == []


def test_data_that_llama_factory_tokenized_are_plain(tokens):
    stock = Dataset.from_dict({"input_ids": [[5, 6]], "attention_mask": [[1, 1]], "labels": [[-100, 6]]})
    assert count_kinds(stock, tokens, PluginArguments(), seed=0) == {"plain": KindCounts(1, 1, 0, 0, 0)}


def test_training_starts_with_the_warnings(checkpoint, datasets, tmp_path, warnings):
    run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path, dataset="plain"))
    assert len([text for text in warnings if "cannot act" in text]) == 2
