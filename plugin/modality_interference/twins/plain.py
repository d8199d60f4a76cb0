"""Rows of plain datasets, among those with twins: which dataset and row they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import __version__
from .row_key import row_key


@dataclass
class PlainRow:
    """Adds `_twins` to LLaMA-Factory's aligned rows, so that warnings and the diagnosis can name them.

    Attributes:
        dataset: the dataset's name.
        version: of this package; part of the pickle, so that `datasets` makes cached rows anew after an upgrade.
    """

    dataset: str
    version: str = __version__

    def __call__(self, example: Mapping[str, Any], index: int) -> dict[str, str]:
        """The new column of one aligned row; called by `dataset.map(..., with_indices=True)`."""
        about = {"dataset": self.dataset, "row": index, "key": row_key(self.dataset, example), "relevant": 0}
        return {"_twins": json.dumps(about)}
