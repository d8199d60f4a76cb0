"""Rows of decoder inputs, for every form that the families have."""

import torch

from modality_interference.train.decoder_inputs import almost_nothing, append_rows, take_rows


ROWS, TOKENS, HIDDEN = 3, 4, 2


def decoder_inputs():
    mask = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    return {
        "inputs_embeds": torch.arange(ROWS * TOKENS * HIDDEN, dtype=torch.float).view(ROWS, TOKENS, HIDDEN),
        "attention_mask": {"full": torch.arange(ROWS * 16).view(ROWS, 1, TOKENS, TOKENS), "none": None},
        "position_ids": torch.arange(3 * ROWS * TOKENS).view(3, ROWS, TOKENS),
        "cache_position": torch.arange(ROWS),  # as long as there are rows, yet not of rows
        "visual_pos_masks": mask,
        "deepstack_visual_embeds": [torch.tensor([[0.0], [10.0], [11.0]])],
        "use_cache": False,
    }


def test_take_rows_indexes_what_has_a_batch_dimension():
    kwargs, rows = decoder_inputs(), torch.tensor([1, 0, 1])
    taken = take_rows(kwargs, rows, ROWS)
    assert torch.equal(taken["inputs_embeds"], kwargs["inputs_embeds"][[1, 0, 1]])
    assert torch.equal(taken["attention_mask"]["full"], kwargs["attention_mask"]["full"][[1, 0, 1]])
    assert torch.equal(taken["position_ids"], kwargs["position_ids"][:, [1, 0, 1]])
    assert torch.equal(taken["cache_position"], kwargs["cache_position"])
    assert taken["deepstack_visual_embeds"][0].flatten().tolist() == [10, 11, 0, 10, 11]
    assert taken["use_cache"] is False


def test_append_rows_keeps_the_first():
    kwargs = decoder_inputs()
    longer = append_rows(kwargs, torch.tensor([2, 1]), ROWS)
    assert torch.equal(longer["inputs_embeds"][:ROWS], kwargs["inputs_embeds"])
    assert torch.equal(longer["inputs_embeds"][ROWS:], kwargs["inputs_embeds"][[2, 1]])
    assert longer["deepstack_visual_embeds"][0].flatten().tolist() == [0, 10, 11, 10, 11]


def test_broadcast_positions_stay():
    kwargs = {"inputs_embeds": torch.zeros(ROWS, TOKENS, HIDDEN), "position_ids": torch.arange(TOKENS)[None]}
    assert take_rows(kwargs, torch.tensor([0]), ROWS)["position_ids"].shape == (1, TOKENS)


def test_almost_nothing_is_one_token():
    small = almost_nothing(decoder_inputs())
    assert small["inputs_embeds"].shape == (1, 1, HIDDEN)
    assert small["position_ids"].shape == (3, 1, 1)
    assert small["visual_pos_masks"] is None and small["deepstack_visual_embeds"] is None
