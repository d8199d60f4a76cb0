"""Bring the logged losses and rates into LLaMA-Factory's log file and loss plots, and a diagnosis into its page.

The report and its plots are imported when they are written: a run that only trains does not need them.
"""

import json
import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

from ..compat import get_logger
from ..errors import ModalityInterferenceError
from ..results import Curves, Diagnosis, ScoredRow
from ..train.losses import COUNTS, LOGGED, MEANS
from ..train.pair_losses import PAIR_MEANS


logger = get_logger(__name__)
_MEANS = tuple(dict.fromkeys((*MEANS, *PAIR_MEANS)))
_FIGURES = {*LOGGED, *PAIR_MEANS}


def twin_log_callback(stock: type) -> type:
    """LLaMA-Factory's LogCallback, which also writes the plugin's means and counts and an evaluation's rates into `trainer_log.jsonl`."""

    class TwinLogCallback(stock):  # type: ignore[misc, valid-type]
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            latest = state.log_history[-1]
            figures = {name: value for name, value in latest.items() if name in _FIGURES or _is_rate(name)}
            # a thread writes the line; what writes it is looked up now
            self._write_log = partial(self._write_more, figures)
            try:
                super().on_log(args, state, control, **kwargs)
            finally:
                del self._write_log

        def _write_more(self, figures: dict[str, Any], output_dir: str, logs: dict[str, Any]) -> None:
            super()._write_log(output_dir, {**logs, **figures})

    TwinLogCallback.__name__ = TwinLogCallback.__qualname__ = stock.__name__  # loggers name callbacks by their class
    return TwinLogCallback


def _is_rate(name: str) -> bool:
    """Whether a logged figure is of an evaluation, other than its duration, which stays out of the file."""
    return name.startswith("eval_") and not name.endswith(("_runtime", "_per_second", "_preparation_time"))


def twin_plot_loss(stock: Callable[..., None]) -> Callable[..., None]:
    """LLaMA-Factory's `plot_loss`, which also plots the means that the run logged, and counts that are not always 0."""

    @wraps(stock)
    def plot_loss(save_dictionary: str, keys: list[str]) -> None:
        with open(os.path.join(save_dictionary, "trainer_state.json"), encoding="utf-8") as file:
            entries = json.load(file)["log_history"]

        means = [name for name in _MEANS if name not in keys and any(name in entry for entry in entries)]
        counts = [name for name in COUNTS if any(entry.get(name) for entry in entries)]
        stock(save_dictionary, keys=[*keys, *means, *counts])

    return plot_loss


def card_with_rates(stock: Callable[..., None]) -> Callable[..., None]:
    """LLaMA-Factory's `create_modelcard_and_push`, whose card has the rates of the run's diagnosis in place of a bare list."""

    @wraps(stock)
    def create(trainer: Any, *arguments: Any) -> None:
        own = trainer.create_model_card

        def create_model_card(*args: Any, **kwargs: Any) -> None:  # which `push_to_hub` calls before it uploads
            own(*args, **kwargs)
            _put_rates(trainer)

        trainer.create_model_card = create_model_card
        try:
            stock(trainer, *arguments)
        finally:
            del trainer.create_model_card

        _put_rates(trainer)

    return create


def _put_rates(trainer: Any) -> None:
    card = Path(trainer.args.output_dir) / "README.md"
    if trainer.diagnosis is None or not trainer.args.do_train or not card.is_file():
        return

    from ..report import model_card

    try:
        model_card.update_card(card, trainer.diagnosis)
    except ModalityInterferenceError as error:  # a full disk must not end a finished run for a card
        logger.warning_rank0(f"The card has no rates of the diagnosis: {error}")


def write_report(folder: Path, diagnosis: Diagnosis, rows: list[ScoredRow]) -> Path:
    """Write the page of a diagnosis and its plots; see `report.page.write_report`. Returns the page's path."""
    from ..report import page

    return next(path for path in page.write_report(folder, diagnosis, rows) if path.suffix == ".html")


def write_curves(folder: Path, found: Curves) -> None:
    """Draw the rates of all evaluations so far; see `report.plots.curves.write_curves`."""
    from ..report.plots import curves

    curves.write_curves(folder, found)
