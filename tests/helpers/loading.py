"""LLaMA-Factory's data path without a model: parse a recipe, load its datasets, make its collator."""

from dataclasses import dataclass
from typing import Any

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

from modality_interference.batching.collator import TwinCollator, row_key


@dataclass
class Loaded:
    """What `run_sft` has in hand before it loads the model."""

    train: Any
    evaluation: Any
    template: Any
    tokenizer: Any
    processor: Any
    arguments: tuple[Any, ...]

    def collator(self, kind: type = TwinCollator, **settings: Any) -> Any:
        """A collator as `run_sft` makes it."""
        settings = {"pad_to_multiple_of": 8, "label_pad_token_id": -100} | settings
        return kind(template=self.template, tokenizer=self.tokenizer, processor=self.processor, **settings)


def load_data(keys: dict[str, Any]) -> Loaded:
    """Load the datasets of a recipe as `run_sft` or `run_dpo` does."""
    arguments = get_train_args(keys)
    model_args, data_args, training_args = arguments[:3]
    tokenizer_module = load_tokenizer(model_args)
    stage = "rm" if arguments[3].stage == "dpo" else "sft"
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
    module = get_dataset(template, model_args, data_args, training_args, stage=stage, **tokenizer_module)
    return Loaded(
        module.get("train_dataset"), module.get("eval_dataset"), template, **tokenizer_module, arguments=arguments
    )


def row_names(batch: dict[str, Any], examples: Any) -> list[tuple[str, str]]:
    """(dataset, perturbation) of every row of a collated batch, by the rows' keys."""
    known = {
        row_key(example["key"], row.get("perturbation", "clean")): (
            example["dataset"],
            row.get("perturbation", "clean"),
        )
        for example in examples
        for row in (example, *example["variants"])
    }
    return [known[key] for key in batch["row_key"].tolist()]
