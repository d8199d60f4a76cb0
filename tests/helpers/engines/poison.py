"""A gradient that is not finite, in one step of the runs whose name asks for it."""

from typing import Any

from transformers import TrainerCallback


POISONED = "-poisoned"  # how the output folder ends
STEP = 2


class Poison(TrainerCallback):
    """Makes the gradient of the token embeddings NaN in step 2, on the main process only."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if not args.output_dir.endswith(POISONED) or args.process_index != 0:
            return

        def poison(module: Any, inputs: Any, output: Any) -> None:
            if output.requires_grad and state.global_step + 1 == STEP:
                output.register_hook(lambda gradient: gradient * float("nan"))

        model.get_input_embeddings().register_forward_hook(poison)
