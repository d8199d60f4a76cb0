"""What a report says of a run, out of LLaMA-Factory's arguments."""

from typing import Any

from ..diagnose.summary import RunFacts


def run_facts(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> RunFacts:
    """Collect what a reader of the report needs to repeat the run; no path but those that the recipe names."""
    return RunFacts(
        model={
            "name_or_path": model_args.model_name_or_path,
            "adapter_name_or_path": model_args.adapter_name_or_path,
            "finetuning_type": finetuning_args.finetuning_type,
            "template": data_args.template,
        },
        data={
            "dataset_dir": data_args.dataset_dir if isinstance(data_args.dataset_dir, str) else None,
            "eval_dataset": data_args.eval_dataset,
            "val_size": data_args.val_size,
            "max_samples": data_args.max_samples,
            "cutoff_len": data_args.cutoff_len,
        },
        run={"output_dir": training_args.output_dir},
        seed=training_args.seed,
        scoring=finetuning_args.diagnosis_scoring,
    )
