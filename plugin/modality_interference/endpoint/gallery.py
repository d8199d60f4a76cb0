"""The worst flips of a run against a server, and answers that stayed without their evidence, for its page."""

from collections.abc import Callable, Iterable
from typing import Any

from ..batching.tokens import ModalityTokens
from ..dataset_dir.rows import Example
from ..evaluation.flips import Gallery, surest_unmoved, worst_flips
from ..modality import CLEAN
from ..results import Flip, ScoredRow
from .questions import described_example, shown_prompts


class TextGallery(Gallery):
    """A gallery of rows that nobody has tokenized: prompts and responses are shown as the data has them."""

    def __init__(self) -> None:
        super().__init__(tokenizer=None, tokens=ModalityTokens({}, frozenset()))

    def prompt(self, row: dict[str, Any]) -> str:
        """The prompt that `found_flips` has put into a row."""
        return row["shown_prompt"]

    def right_answer(self, example: dict[str, Any]) -> str:
        """The row's response."""
        return example["shown_response"]


def found_flips(
    rows: list[ScoredRow], gone: list[ScoredRow], read: Callable[[str, int], Iterable[Example]]
) -> tuple[list[Flip], list[Flip]]:
    """The worst flips, and right answers that stayed without their evidence.

    Args:
        rows: all scored clean rows and twins.
        gone: all scored counterfactual rows.
        read: converts the row of a dataset again, by the dataset's name and the row's index as scored rows have it.
    """
    wanted = dict.fromkeys((row.dataset, row.row) for row in [*worst_flips(rows), *surest_unmoved(gone, rows)])
    examples = [_shown(example) for name, row in wanted for example in read(name, row)]
    gallery = TextGallery()
    return gallery.flips(rows, [examples]), gallery.unmoved(gone, rows, [examples])


def _shown(example: Example) -> dict[str, Any]:
    prompts = dict(shown_prompts(example))
    found = described_example(example).to_arrow()
    made = {
        name: [row | {"shown_prompt": prompts[row["perturbation"]]} for row in found[name]]
        for name in ("variants", "counterfactuals")
    }
    response = example.aligned["_response"][0]["content"]
    return found | made | {"shown_prompt": prompts[CLEAN], "shown_response": response}
