"""What a preference tuning says of its data when it starts."""

from types import SimpleNamespace

import pytest
from datasets import Dataset, IterableDataset

from modality_interference.compat import let_trl_import


let_trl_import()  # as a run does

from modality_interference.train.pair_trainer import pair_overview  # noqa: E402


ROWS = Dataset.from_dict({"variants": [["a", "b"], ["c"], []], "counterfactuals": [["d"], [], []]})
BARE = Dataset.from_dict({"variants": [[], []], "counterfactuals": [[], []]}).cast_column(
    "variants", ROWS.features["variants"]
)


def arguments(**keys):
    defaults = dict(pref_loss="ipo", consistency_on=True, consistency_method="kl", preference_counterfactual="symmpo")
    return SimpleNamespace(**{**defaults, "preset": None, **keys})


def test_pairs_twins_and_counterfactual_rows_are_counted():
    text, warnings = pair_overview(ROWS, arguments())
    assert text.startswith("Trains on 3 pairs, with 1.00 twins and 0.33 counterfactual rows each: the loss `ipo`")
    assert warnings == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, ["`consistency_method: kl` cannot act", "`preference_counterfactual: symmpo` cannot act"]),
        ({"consistency_on": False}, ["`preference_counterfactual: symmpo` cannot act"]),
        ({"preference_counterfactual": "none"}, ["`consistency_method: kl` cannot act"]),
    ],
)
def test_terms_that_cannot_act(keys, said):
    _, warnings = pair_overview(
        BARE.cast_column("counterfactuals", ROWS.features["counterfactuals"]), arguments(**keys)
    )
    assert (
        [any(text in warning for warning in warnings) for text in said] == [True] * len(warnings) == [True] * len(said)
    )


@pytest.mark.parametrize("dataset", [ROWS, IterableDataset.from_generator(lambda: iter(()))])
def test_the_values_of_a_preset_are_said(dataset):
    values = dict(consistency_method="none", adversarial_method="none", alignment_weight=0.0)
    text, _ = pair_overview(dataset, arguments(preset="alignment_tuning", consistency_on=False, **values))
    assert "`preset: alignment_tuning`: consistency_method: none" in text
