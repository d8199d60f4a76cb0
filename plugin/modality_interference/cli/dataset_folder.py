"""The dataset folder that a command looks at."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ModalityInterferenceError


DatasetDir = Annotated[
    Path, typer.Argument(metavar="DATASET_DIR", help="A folder with a dataset_info.json (`dataset_dir`).")
]
MediaDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="The recipe's `media_dir`, where paths of images, videos and audio start; may be a link, or behind one.",
        show_default="DATASET_DIR",
    ),
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


def checked_media_dir(folder: Path | None) -> Path | None:
    """The absolute path of a media folder, which its user has named: links in the path are followed.

    Raises:
        ModalityInterferenceError: there is no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise ModalityInterferenceError(
            f"`--media-dir {folder}` is not a folder. Name the folder where the paths of images, videos and audio start."
        )

    return None if folder is None else folder.resolve()


def stay_offline() -> None:
    """Keep the hub's libraries off the network; to be called before they are imported."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
