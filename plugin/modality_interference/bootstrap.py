"""The entry point that PyTorch calls in every process, and the import hook that it places. Nothing else.

PyTorch (2.5 or newer) loads the entry point group `torch.backends` at the end of `import torch`: in the CLI, in torchrun
children, in Ray workers and in the web UI alike. This module must therefore cost nothing and never raise.
"""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType


# modules of LLaMA-Factory, and what is called with each once it is imported: module and function of `integration`
TARGETS = {
    "llamafactory.hparams.parser": ("plugin", "install"),  # parses recipes
    "llamafactory.v1.config.arg_parser": ("plugin", "refuse_in_v1"),  # likewise, with USE_V1=1
    "llamafactory.webui.components": ("webui", "extend"),  # what LlamaBoard is built of
}


class _InstallAfterImport(MetaPathFinder):
    """Lets the import system load a target as usual, then installs the plugin into the module.

    Args:
        name: a key of `TARGETS`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None

        sys.meta_path.remove(self)  # once; and so that the next line finds the real loader
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            stock_exec = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                stock_exec(module)
                _install_into(module, *TARGETS[self.name])

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]

        return spec


def _install_into(target: ModuleType, module: str, function: str) -> None:
    try:
        getattr(import_module(f".integration.{module}", __package__), function)(target)
    except Exception as error:  # a run that does not use the plugin must not fail because of it
        import warnings

        warnings.warn(f"modality_interference could not be installed into LLaMA-Factory: {error}", stacklevel=2)


def install() -> None:
    """Place the import hooks (idempotent)."""
    placed = {finder.name for finder in sys.meta_path if isinstance(finder, _InstallAfterImport)}
    sys.meta_path[:0] = [_InstallAfterImport(name) for name in TARGETS if name not in placed | sys.modules.keys()]
