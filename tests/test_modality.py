"""Relevant sets, kinds and token masks."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.batching.tokens import ModalityTokens, perturbation_mask
from modality_interference.modality import BOTH, IGNORE_LABEL, PLAIN, Modality, from_bits, kind_of, to_bits


TOKENS = ModalityTokens({Modality.IMAGE: 90, Modality.AUDIO: 91}, frozenset({0, 1, 2}))
subsets = st.sets(st.sampled_from(list(Modality)))


@given(subsets)
def test_bits_round_trip(modalities):
    assert from_bits(to_bits(modalities)) == modalities


def test_kinds():
    assert kind_of(0) == PLAIN
    assert kind_of(to_bits([Modality.IMAGE])) == "image"
    assert kind_of(to_bits([Modality.IMAGE, Modality.TEXT])) == BOTH


@settings(deadline=None)
@given(
    subsets,
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2, 5, 6, 90, 91]), st.booleans(), st.booleans()), min_size=1, max_size=12
    ),
    st.integers(0, 12),
)
def test_mask_follows_its_definition(relevant, tokens, start):
    ids, attended, answered = (torch.tensor([list(column)]) for column in zip(*tokens))
    labels = torch.where(answered, ids, IGNORE_LABEL)
    bits = TOKENS.bits(ids, attended)
    mask = perturbation_mask(bits, attended, labels, torch.tensor([to_bits(relevant)]), torch.tensor([start]))
    before = 0  # tokens so far, padding not counted
    for (token, attend, answer), masked in zip(tokens, mask[0].tolist()):
        modality = {90: Modality.IMAGE, 91: Modality.AUDIO}.get(token, Modality.TEXT)
        expected = (
            bool(relevant) and token not in TOKENS.special and modality not in relevant and attend and not answer
        )
        assert masked == (expected and before >= start)
        before += attend
