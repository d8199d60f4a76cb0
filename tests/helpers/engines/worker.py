"""Trains the recipes of a job file one after the other, on every rank of one launch.

    torchrun ... worker.py job.json      (or accelerate launch, or plain Python for one process and for Ray)

Works around what keeps LLaMA-Factory's engines from running right on CPUs (see `cpu_traps`), and leaves in each run's
`output_dir` how the engine wrapped the model.
"""

import gc
import json
import sys
from pathlib import Path

import torch
from llamafactory.extras.misc import use_ray
from llamafactory.train import tuner

from helpers.engines import cpu_traps
from helpers.engines.poison import Poison
from helpers.engines.probe import WrapperProbe


def main() -> None:
    """Run the job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    cpu_traps.apply()
    if use_ray():
        from helpers.engines.ray_worker import RecipesInTurn

        tuner.Worker = RecipesInTurn
        tuner.run_exp({**job[0], "recipes": job})
        return

    # `run_exp` ends the process group, which one launch cannot start a second time
    end_group, torch.distributed.destroy_process_group = torch.distributed.destroy_process_group, lambda: None
    for recipe in job:
        tuner.run_exp(recipe, callbacks=[WrapperProbe(), Poison()])
        gc.collect()

    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        end_group()


if __name__ == "__main__":
    main()
