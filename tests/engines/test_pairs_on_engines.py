"""Preference tuning ends with the same weights on engines as in one process, on the same global batches of uneven pairs."""

from pathlib import Path

import pytest
from helpers.engines.cells import COMMON
from helpers.engines.launching import ENGINES, SINGLE, Engine, launch, logged, weights, wrappers
from helpers.runs import recipe, write_pairs


TUNINGS = {"full": {}, "lora": dict(lora_target="all", lora_rank=4)}
TOLERANCE = 1e-5


def keys(checkpoint: Path, data: Path, folder: Path, tuning: str, ranks: int) -> dict:
    pairs = dict(
        stage="dpo", adversarial_method="none", preference_counterfactual="symmpo", pref_beta=0.5, pref_ftx=0.1,
        dataset="cards,facts", mix_strategy="interleave_under", interleave_probs="0.5,0.5", share_prefix=ranks > 1,
    )  # fmt: skip
    # two steps of four of the nine pairs: engines fill up an epoch's last step with pairs that were there already
    settings = dict(per_device_train_batch_size=1, gradient_accumulation_steps=4 // ranks, max_steps=2, use_cpu=None)
    tuned = dict(finetuning_type=tuning, **TUNINGS[tuning])
    return recipe(checkpoint, "qwen2_vl", data, folder / tuning, **COMMON | tuned | pairs | settings)


@pytest.fixture(scope="module")
def train(checkpoint, tmp_path_factory):
    """Trains both tunings on an engine, once, and gives the folder of their outputs."""
    data = write_pairs(tmp_path_factory.mktemp("data"))
    folders: dict[str, Path] = {}

    def run(engine: Engine) -> Path:
        if engine.title not in folders:
            folder = folders[engine.title] = tmp_path_factory.mktemp("engine")
            ranks = 1 if engine is SINGLE else 2
            recipes = [keys(checkpoint("qwen2_5_vl"), data, folder, tuning, ranks) for tuning in TUNINGS]
            launch(engine, recipes, folder)

        return folders[engine.title]

    return run


@pytest.mark.engines
@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("name", ["ddp", "zero2", "zero3", "fsdp2"])
def test_weights_and_logs_are_those_of_one_process(name: str, tuning: str, train):
    engine = ENGINES[name]
    alone, together = train(SINGLE) / tuning, train(engine) / tuning
    found = list(wrappers(together))
    assert len(found) == 2 and all(engine.wrapper in one["classes"] for one in found)
    assert all((one["zero_stage"], one["sharded"]) == (engine.zero_stage, engine.sharded) for one in found)
    for one, other in zip(logged(together), logged(alone), strict=True):
        figures = {name for name in other if name.startswith(("loss", "margin_", "rewards/", "logps/"))}
        assert len(figures) > 10
        assert {n: one[n] for n in figures} == pytest.approx({n: other[n] for n in figures}, rel=1e-4, abs=1e-5)

    expected = weights(alone)
    differences = {key: (tensor - expected[key]).abs().max().item() for key, tensor in weights(together).items()}
    assert differences.keys() == expected.keys() and max(differences.values()) <= TOLERANCE
