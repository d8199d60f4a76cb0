"""The entry point that PyTorch calls in every process, and the import hook that it places. Nothing else.

PyTorch (2.5 or newer) loads the entry point group `torch.backends` at the end of `import torch`: in the CLI, in torchrun
children, in Ray workers and in the web UI alike. This module must therefore cost nothing and never raise.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType


TARGET = "llamafactory.hparams.parser"


class _InstallAfterImport(MetaPathFinder):
    """Lets the import system load `TARGET` as usual, then installs the plugin into the module."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != TARGET:
            return None

        sys.meta_path.remove(self)  # once; and so that the next line finds the real loader
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            stock_exec = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                stock_exec(module)
                _install_into(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]

        return spec


def _install_into(parser: ModuleType) -> None:
    try:
        from .integration import plugin

        plugin.install(parser)
    except Exception as error:  # a run that does not use the plugin must not fail because of it
        import warnings

        warnings.warn(f"modality_interference could not be installed into LLaMA-Factory: {error}", stacklevel=2)


def install() -> None:
    """Place the import hook (idempotent)."""
    if TARGET not in sys.modules and not any(isinstance(finder, _InstallAfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _InstallAfterImport())
