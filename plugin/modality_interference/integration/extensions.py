"""Third-party perturbations and formats: installed packages register them when their entry point is loaded."""

from importlib.metadata import EntryPoint, entry_points

from ..data.registry import formats, undone_on_error
from ..errors import ModalityInterferenceError


GROUP = "modality_interference.extensions"


def load_extensions() -> None:
    """Import every installed extension.

    Raises:
        ModalityInterferenceError: one cannot be loaded; names its package and version, its entry point and the cause.
    """
    for entry in entry_points(group=GROUP):
        try:
            with undone_on_error():
                entry.load()
        except (Exception, SystemExit) as error:  # whatever the code of a package raises
            raise ModalityInterferenceError(
                f"The extension `{entry.name} = {entry.value}` of {_package(entry)} cannot be loaded: {type(error).__name__}: "
                f"{error}. Every run with the plugin loads the extensions that are installed: update that package or report "
                "this to its authors, or uninstall it."
            ) from error


def _package(entry: EntryPoint) -> str:
    if entry.dist is None:
        return "an unknown package"

    return f"the package `{entry.dist.name}` {entry.dist.version}"


def known_formats() -> set[str]:
    """LLaMA-Factory's formats and those of twins, with what installed extensions add."""
    from llamafactory.data import converter  # not at the top: extensions alone need no LLaMA-Factory

    load_extensions()
    return {*converter.DATASET_CONVERTERS, *formats()}
