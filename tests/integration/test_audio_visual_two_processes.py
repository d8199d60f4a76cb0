"""An omni model, all of it tuned, on two processes: DDP fails where a parameter gets no gradient."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers.av_data import write_clips
from helpers.runs import recipe
from safetensors.torch import load_file


@pytest.mark.engines
def test_full_tuning_with_trainable_towers(checkpoint, tmp_path):
    data, output = write_clips(tmp_path / "data"), tmp_path / "out"
    keys = recipe(
        checkpoint("qwen2_5_omni"), "qwen2_omni", data, output, dataset="clips,read", max_steps=2, use_cpu=None,
        mix_strategy="interleave_under", interleave_probs="0.6,0.4",
    )  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump({name: value for name, value in keys.items() if value is not None})
    )
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": "2",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
    }
    command = [binaries / "llamafactory-cli", "train", tmp_path / "recipe.yaml"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr[-3000:]
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint("qwen2_5_omni"), output))
    towers = [name for name in after if "audio_tower.layers" in name or "visual.blocks" in name]
    prefix = "" if towers[0] in before else "thinker."
    assert towers and all(torch.isfinite(after[name]).all() for name in after)
    assert any(not torch.equal(after[name], before[prefix + name]) for name in towers)
