"""A recipe for fine-tuning on a dataset with twins, with comments, to start from."""

from dataclasses import fields
from pathlib import Path

import yaml

from ..arguments import PLUGIN_NAME, PluginArguments


_TEXT = """\
# Start it with: llamafactory-cli train {recipe}

### model
model_name_or_path: {model}
template: {template}

### method
stage: sft
do_train: true
finetuning_type: lora
lora_target: all

### plugin
plugin: {plugin}    # without this line it is plain fine-tuning
# Its keys with their defaults; remove the `#` in front of one to change it.
{keys}

### dataset
dataset_dir: {dataset_dir}
{media_dir}dataset: {dataset}
cutoff_len: 4096
val_size: 0.1    # of the rows, which are not trained on: the model is diagnosed on them

### output
output_dir: {output_dir}
plot_loss: true
report_to: none

### train
per_device_train_batch_size: 4    # rows; their changed copies come on top
learning_rate: 1.0e-4
num_train_epochs: 1.0
lr_scheduler_type: cosine
logging_steps: 10
# bf16: true    # on a GPU that has it

### eval
do_eval: true    # writes interference.html at the end
eval_strategy: epoch
per_device_eval_batch_size: 4
"""


def training_recipe(
    recipe: Path, model: str, template: str, dataset_dir: Path, media_dir: Path | None, dataset: str, output_dir: Path
) -> str:
    """The text of a recipe that trains a LoRA adapter with the plugin's defaults, and diagnoses held-out rows after each epoch.

    Args:
        recipe: where it will be.
        model: a folder, or a name on the hub.
        template: LLaMA-Factory's.
        dataset_dir: the dataset folder.
        media_dir: from where paths of media start; None for the dataset folder.
        dataset: the name in its dataset_info.json.
        output_dir: where the run writes to.
    """
    return _TEXT.format(
        recipe=recipe,
        model=_scalar(model),
        template=_scalar(template),
        plugin=PLUGIN_NAME,
        keys="\n".join(_key_lines()),
        dataset_dir=_scalar(str(dataset_dir)),
        media_dir="" if media_dir is None else f"media_dir: {_scalar(str(media_dir))}\n",
        dataset=_scalar(dataset),
        output_dir=_scalar(str(output_dir)),
    )


def _key_lines() -> list[str]:
    """Every key of the plugin in a line: its default, and what it does."""
    return [
        f"# {item.name}: {_scalar(item.default)}    # {' '.join(str(item.metadata['help']).split())}"
        for item in fields(PluginArguments)
        if item.name != "plugin"
    ]


def _scalar(value: object) -> str:
    """A value as YAML writes it on one line."""
    return yaml.safe_dump(value, allow_unicode=True, width=10**9).partition("\n...")[0].strip()
