"""The dataset folder that a command looks at."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModalityInterferenceError


DatasetDir = Annotated[
    Path, typer.Argument(metavar="DATASET_DIR", help="A folder with a dataset_info.json (`dataset_dir`).")
]


def checked_folder(folder: Path) -> Path:
    """The absolute path of a dataset folder.

    Raises:
        ModalityInterferenceError: there is no such folder.
    """
    if not folder.is_dir():
        raise ModalityInterferenceError(
            f"`{folder}` is not a folder. Name a dataset folder, that is, a folder with a dataset_info.json "
            "(LLaMA-Factory's `dataset_dir`)."
        )

    return folder.resolve()


def stay_offline() -> None:
    """Keep the hub's libraries off the network; to be called before they are imported."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
