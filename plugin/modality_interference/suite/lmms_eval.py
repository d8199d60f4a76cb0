"""A suite as a task of lmms-eval: a YAML file, `utils.py` and the questions as Parquet, in one folder."""

import re
from pathlib import Path

from ..modality import is_counterfactual
from . import lmms_eval_task
from .rows import Suite
from .table import parquet


_DATA = "data/test.parquet"
_TASK = """\
# A task of lmms-eval: lmms_eval --include_path THIS_FOLDER --tasks {task} --log_samples --output_path results --model ...
# Then: modality-interference suite score results/MODEL/*_samples_{task}.jsonl --suite THIS_FOLDER -o DIR
task: {task}
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_messages: !function utils.doc_to_messages
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_target: answer
process_results: !function utils.process_results
generation_kwargs:
  max_new_tokens: {tokens}
  temperature: 0
  do_sample: false
metric_list:
{metrics}
metadata:
  version: 1.0
"""
_METRIC = """\
  - metric: accuracy_{label}
    aggregation: !function utils.share
    higher_is_better: {better}"""
_TOKENS = 64  # for an option; of a reasoning model's thought it takes more, with `--gen_kwargs max_new_tokens=...`


def files(suite: Suite) -> dict[str, bytes | str]:
    """The files of the export."""
    task = task_name(suite.name)
    # without the evidence, a right answer is a guess, or from a model that did not need to look
    metrics = "\n".join(
        _METRIC.format(label=label, better=str(not is_counterfactual(label)).lower()) for label in suite.perturbations
    )
    return {
        f"{task}.yaml": _TASK.format(task=task, data=_DATA, tokens=_TOKENS, metrics=metrics),
        "utils.py": Path(lmms_eval_task.__file__).read_text(encoding="utf-8"),
        _DATA: parquet(suite.asked, suite.modalities),
    }


def task_name(dataset: str) -> str:
    """The task's name, of letters, digits and underscores."""
    return f"{re.sub(r'[^a-z0-9]+', '_', dataset.lower()).strip('_') or 'dataset'}_twins"
