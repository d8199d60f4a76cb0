"""Pools: folders of pictures that perturbations draw from."""

import os

from ..errors import ModalityInterferenceError


PICTURE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp")


def list_pool(folder: str, dataset: str, dataset_dir: str | None) -> tuple[str, ...]:
    """List a pool's pictures, those in subfolders too.

    A dataset may come from a stranger, so a pool is a relative path and neither it nor a file in it may lead out of
    `dataset_dir`, be it by `..` or by a symbolic link.

    Args:
        folder: the pool, relative to `dataset_dir`.
        dataset: the dataset's name, for messages.
        dataset_dir: the folder of `dataset_info.json`.

    Returns:
        Absolute paths, in an order that does not depend on the file system.

    Raises:
        ModalityInterferenceError: the pool is absolute, leads out of `dataset_dir`, is missing or has no picture.
    """
    where = f"dataset `{dataset}`: pool `{folder}`"
    if dataset_dir is None or not os.path.isdir(dataset_dir):
        raise ModalityInterferenceError(
            f"{where} needs a `dataset_dir` on this machine, found {dataset_dir!r}. Put `dataset_info.json` and the "
            "pool into a local folder and name that."
        )

    if os.path.isabs(folder) or not folder.strip() or "\0" in folder:
        raise ModalityInterferenceError(
            f"{where} must be a path relative to `dataset_dir` ({dataset_dir}). Move or copy the pool there."
        )

    root, pool = os.path.realpath(dataset_dir), os.path.realpath(os.path.join(dataset_dir, folder))
    _check_inside(pool, root, where)
    if not os.path.isdir(pool):
        raise ModalityInterferenceError(
            f"{where} is missing: there is no folder `{pool}`. Create it, or correct the path."
        )

    files = sorted(_pictures(pool, root, where))
    if not files:
        raise ModalityInterferenceError(
            f"{where} is empty: `{pool}` holds no picture. Allowed: files that end in {', '.join(PICTURE_SUFFIXES)}."
        )

    return tuple(files)


def _pictures(pool: str, root: str, where: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(pool):  # does not follow links to folders
        paths = [os.path.join(parent, name) for name in names if name.lower().endswith(PICTURE_SUFFIXES)]
        for path in paths:
            _check_inside(os.path.realpath(path), root, f"{where}: file `{path}`")

        found += paths

    return found


def _check_inside(path: str, root: str, where: str) -> None:
    if os.path.commonpath([path, root]) != root:
        raise ModalityInterferenceError(
            f"{where} leads out of `dataset_dir` ({root}) to `{path}`. Copy the files there."
        )
