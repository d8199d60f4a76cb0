"""The ablation on the digits demo's model: what its cells are tuned on, and at what compute."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from helpers.runs import recipe
from llamafactory.train.tuner import run_exp


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(EXAMPLES / "digits_ablation"), *sys.path])
    for name in ("study", "families"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield importlib.import_module("study")
    for name in ("study", "families"):
        sys.modules.pop(name, None)


def test_held_out_texts_are_tested_and_never_trained_on(study):
    info = study.more_tests(runpy.run_path(str(EXAMPLES / "digits" / "make_data.py"))["dataset_info"]())
    families = importlib.import_module("shared.families")
    tested = json.dumps(info["digits_image_test"])
    trained = json.dumps([entry.get("twins") for name, entry in info.items() if not name.endswith("_test")])
    for name in (*families.HELD_OUT, "after", "ocr_text", "images/test"):
        assert name in tested
        assert f'"{name}"' not in trained

    assert [name for name, entry in info.items() if "counterfactuals" in entry.get("twins", {})] == [
        "digits_image_test",
        "digits_image_grounded",
    ]
    assert "typographic_image" in json.dumps(info["digits_text_test"])
    assert "typographic_image" not in trained
    for cell in study.CELLS[2:]:
        names = set(str(cell.keys.get("dataset", "digits_image_plain")).split(","))
        assert names <= info.keys()


def test_equal_compute_is_that_of_pgd_with_two_steps(study):
    """Passes of a step, counted: 3 a clean row or twin, and 2 K + 3 a row that is attacked."""
    # image rows with their two twins have texts that do not matter; text rows' two twins have images
    attacked = 3 * 3 + 2 * 2
    rows = 14 + 3 * 2 + 2 * 2
    recipe = yaml.safe_load((EXAMPLES / "digits_ablation" / "tune.yaml").read_text())
    assert recipe["max_steps"] == study.STEPS
    whole = study.STEPS * (3 * rows + 7 * attacked)
    twins = dict.fromkeys(("augmentation", "js", "families7_js"), 3 * rows)
    of_a_step = {"plain": 3 * 14, **twins, "js_pgd1": 3 * rows + 5 * attacked}
    cells = {cell.name.removesuffix("_equal"): cell for cell in study.CELLS if cell.name.endswith("_equal")}
    assert cells.keys() == of_a_step.keys()
    for name, passes in of_a_step.items():
        assert cells[name].keys["max_steps"] * passes == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("name", ["annealed", "of_each_row"])
def test_an_attack_reaches_the_radius_of_its_experiment(name, checkpoint, datasets, tmp_path, monkeypatch):
    """With signs of gradients as steps, far longer than the radius, a perturbation ends at plus or minus the radius."""
    share, reached = 0.5, []
    radius = runpy.run_path(str(EXAMPLES / "digits_ablation" / "radius.py"))

    class Measured(radius["ATTACKS"][name]):
        def find(self, batch, *rest):
            found = super().find(batch, *rest)
            table = self.parts.decoder.get_input_embeddings().weight
            for index, row in enumerate(found.rows.tolist()):
                embeds = table[batch.inputs["input_ids"][row, batch.perturbation_mask[row]]]
                delta = found.delta[found.token_rows.index == index]
                reached.append((self.seed[1], delta.abs().max().item(), embeds.square().mean().sqrt().item()))

            return found

    monkeypatch.setattr("modality_interference.train.trainer.Attack", Measured)
    keys = dict(dataset="pictures", max_steps=2, adversarial_method="pgd", adversarial_steps=1)
    keys |= dict(adversarial_update="sign", adversarial_step_size=100.0, adversarial_epsilon=share)
    run_exp(recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", **keys))

    assert {step for step, _, _ in reached} == {0, 1}
    for step, found, size in reached:
        expected = share * (step / radius["RISING"] if name == "annealed" else size)
        assert found == pytest.approx(expected, rel=1e-3)
