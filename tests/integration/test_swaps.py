"""What is replaced in LLaMA-Factory, and what that may import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import recipe

from modality_interference.compat import let_trl_import
from modality_interference.integration.plugin import require
from modality_interference.integration.swaps import SWAPS


ACTIVATE = """
import json, sys
from llamafactory.hparams import get_train_args

get_train_args(json.loads(sys.argv[1]))
from llamafactory.train.sft import workflow
assert workflow.get_dataset.__module__.startswith("modality_interference.") or workflow.get_dataset.__wrapped__
print(json.dumps(sorted(name for name in sys.modules if name.startswith("modality_interference."))))
"""
BOOTSTRAP = """
import json, sys
before = set(sys.modules)
import modality_interference.bootstrap
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def modules_after(program: str, *words: str) -> list[str]:
    process = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("swap", SWAPS, ids=lambda swap: swap.name)
def test_every_object_that_is_replaced_exists(swap):
    let_trl_import()
    require(swap.module, swap.name)
    assert swap.why and swap.why[0].islower() and not swap.why.endswith(".")


def test_training_starts_without_the_report(checkpoint, datasets, tmp_path):
    keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / "out", plugin="modality_interference")
    words = json.dumps({key: str(value) if isinstance(value, Path) else value for key, value in keys.items()})
    found = modules_after(ACTIVATE, words)
    assert "modality_interference.evaluation.trainer" in found
    # LLaMA-Factory imports matplotlib itself, so only our own modules can be looked at
    unwanted = ("modality_interference.report", "modality_interference.media.thumbnails", "modality_interference.cli")
    assert [name for name in found if name.startswith(unwanted)] == []


def test_the_entry_point_imports_nothing_but_itself():
    found = modules_after(BOOTSTRAP)
    assert {name.partition(".")[0] for name in found} <= {"modality_interference", *sys.stdlib_module_names}
    assert [name for name in found if name.startswith("modality_interference.")] == ["modality_interference.bootstrap"]
