"""Encode each picture once: share it between rows, and replay what is frozen in a later forward of the same step."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class PictureFeatures:
    """Stands in for a model's `get_image_features` during the forwards of one step.

    The collator gives the model every distinct picture of an example once. `image_index` spreads their features over all
    places where they stand. In a forward that only captures the decoder's inputs, what depends on no trainable
    parameter is recorded; the training forward replays it.

    Args:
        owner: the module whose `get_image_features` the model's forward calls.
        towers: its children other than the text decoder.
        image_index: (image tokens,) see `TwinBatch.image_index`.
    """

    def __init__(self, owner: nn.Module, towers: list[nn.Module], image_index: Tensor | None) -> None:
        self.owner = owner
        self.towers = towers
        self.image_index = image_index
        own = owner.parameters(recurse=False)  # LLaVA-NeXT's `image_newline`, which LLaMA-Factory never freezes
        parameters = chain(own, *(tower.parameters() for tower in towers))
        self.frozen = not any(parameter.requires_grad for parameter in parameters)
        self.features: Any = None
        self.outputs: dict[nn.Module, list[Any]] = {}

    @contextmanager
    def installed(self, record: bool = False) -> Iterator[None]:
        """Replace the owner's method for one forward."""
        stock: Callable[..., Any] = self.owner.get_image_features  # type: ignore[assignment]

        def get_image_features(*args: Any, **kwargs: Any) -> Any:
            return self._spread(self._encode(stock, record, args, kwargs))

        self.owner.get_image_features = get_image_features  # type: ignore[assignment]
        try:
            yield
        finally:
            del self.owner.get_image_features  # back to the class's method

    def _encode(self, stock: Callable[..., Any], record: bool, args: tuple, kwargs: dict[str, Any]) -> Any:
        if self.frozen:
            if self.features is None:
                with torch.no_grad():
                    self.features = stock(*args, **kwargs)

            return self.features

        if record:
            with torch.enable_grad(), self._recording():  # the graph tells what depends on a trainable parameter
                return stock(*args, **kwargs)

        with self._replaying():
            return stock(*args, **kwargs)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        def keep(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
            if not any(value.requires_grad for value in _tensors((args, kwargs))):
                self.outputs.setdefault(module, []).append(output)

        with ExitStack() as stack:
            for module in _frozen_modules(self.towers):
                stack.callback(module.register_forward_hook(keep, with_kwargs=True).remove)

            yield

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module, outputs in self.outputs.items():
                queue = iter(outputs)
                module.forward = lambda *args, _queue=queue, **kwargs: next(_queue)
                stack.callback(delattr, module, "forward")

            yield

        self.outputs = {}

    def _spread(self, encoded: Any) -> Any:
        if self.image_index is None:
            return encoded

        spread = type(encoded)(**encoded)
        pooled = encoded.pooler_output
        rows = (
            torch.cat([item.flatten(0, -2) for item in pooled])
            if isinstance(pooled, (tuple, list))
            else pooled.flatten(0, -2)
        )
        spread.pooler_output = (
            (rows[self.image_index],) if isinstance(pooled, (tuple, list)) else rows[self.image_index]
        )
        if getattr(encoded, "deepstack_features", None) is not None:
            spread.deepstack_features = [layer[self.image_index] for layer in encoded.deepstack_features]

        return spread


def _frozen_modules(modules: list[nn.Module]) -> Iterator[nn.Module]:
    """The largest submodules that have parameters, all frozen."""
    for module in modules:
        trainable = [parameter.requires_grad for parameter in module.parameters()]
        if trainable and not any(trainable):
            yield module
        elif trainable:
            yield from _frozen_modules(list(module.children()))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
