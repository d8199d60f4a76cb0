"""How an engine wrapped the model: exit code 0 proves nothing."""

import json
from pathlib import Path
from typing import Any

from torch.distributed.tensor import DTensor
from transformers import TrainerCallback


class WrapperProbe(TrainerCallback):
    """Writes down what the training step gets as its model, on every rank."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        from modality_interference.train.base_trainer import BaseTwinTrainer

        def training_step(trainer: Any, model: Any, *step_args: Any, **step_kwargs: Any) -> Any:
            del BaseTwinTrainer.training_step
            found = {
                "classes": [kind.__name__ for kind in type(model).__mro__],
                "sharded": all(isinstance(parameter, DTensor) for parameter in model.parameters()),
                "world_size": trainer.accelerator.num_processes,
                "zero_stage": model.zero_optimization_stage() if hasattr(model, "zero_optimization_stage") else None,
            }
            rank = trainer.accelerator.process_index
            (Path(args.output_dir) / f"wrapper_{rank}.json").write_text(json.dumps(found))
            return super(BaseTwinTrainer, trainer).training_step(model, *step_args, **step_kwargs)

        BaseTwinTrainer.training_step = training_step
