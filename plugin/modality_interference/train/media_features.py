"""Encode each medium once: share its features between rows, and replay frozen ones in later forwards of the same step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..batching.shared_media import METHODS
from ..modality import Modality
from .decoder_inputs import detach


class MediaFeatures:
    """Replaces a model's `get_image_features` and the like during the forwards of one step.

    The collator gives the model every distinct medium of an example once. `feature_index` copies its features to all
    positions that the medium has in the rows. A forward that only captures the decoder's inputs records what depends on no trainable
    parameter; the training forward replays it.

    Args:
        owner: the module whose methods the model's forward calls.
        towers: its children other than the text decoder.
        feature_index: see `TwinBatch.feature_index`.
    """

    def __init__(
        self, owner: nn.Module, towers: list[nn.Module], feature_index: Mapping[Modality, Tensor] | None
    ) -> None:
        self.owner = owner
        self.towers = towers
        self.feature_index = feature_index or {}
        own = owner.parameters(recurse=False)  # LLaVA-NeXT's `image_newline`, which LLaMA-Factory never freezes
        parameters = chain(own, *(tower.parameters() for tower in towers))
        self.frozen = not any(parameter.requires_grad for parameter in parameters)
        self.features: dict[Modality, Any] = {}
        self.outputs: dict[Modality, dict[nn.Module, list[Any]]] = {}
        self._encoding = False

    @contextmanager
    def installed(self, record: bool = False) -> Iterator[None]:
        """Replace the owner's methods for one forward.

        Args:
            record: another forward of the step follows. The first records, the others replay, and the last one frees the
                recorded outputs.
        """
        with ExitStack() as stack:
            for modality, (name, *_) in METHODS.items():
                if callable(getattr(type(self.owner), name, None)):
                    setattr(self.owner, name, self._method(modality, getattr(self.owner, name), record))
                    stack.callback(delattr, self.owner, name)  # back to the class's method

            yield

    def _method(self, modality: Modality, stock: Callable[..., Any], record: bool) -> Callable[..., Any]:
        def get_features(*args: Any, **kwargs: Any) -> Any:
            if self._encoding:  # Qwen3-VL's method for videos calls the one for images
                return stock(*args, **kwargs)

            self._encoding = True
            try:
                encoded = self._encode(modality, stock, record, args, kwargs)
            finally:
                self._encoding = False

            return self._spread(modality, encoded)

        return get_features

    def _encode(
        self, modality: Modality, stock: Callable[..., Any], record: bool, args: tuple, kwargs: dict[str, Any]
    ) -> Any:
        if self.frozen:
            if modality not in self.features:
                with torch.no_grad():
                    self.features[modality] = stock(*args, **kwargs)

            return self.features[modality]

        if record and modality not in self.outputs and any(_frozen_modules(self.towers)):
            with (
                torch.enable_grad(),
                self._recording(modality),
            ):  # the graph tells what depends on a trainable parameter
                return stock(*args, **kwargs)

        with self._replaying(modality):
            if not record:
                self.outputs.pop(modality, None)  # the replay itself still has them

            return stock(*args, **kwargs)

    @contextmanager
    def _recording(self, modality: Modality) -> Iterator[None]:
        outputs = self.outputs.setdefault(modality, {})

        def keep(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
            if not any(value.requires_grad for value in tensors_in((args, kwargs))):
                # a copy: Gemma 3n scales the tower's output in place
                outputs.setdefault(module, []).append(detach(output, copy=True))

        with ExitStack() as stack:
            for module in _frozen_modules(self.towers):
                stack.callback(module.register_forward_hook(keep, with_kwargs=True).remove)

            yield

    @contextmanager
    def _replaying(self, modality: Modality) -> Iterator[None]:
        with ExitStack() as stack:
            for module, outputs in self.outputs.get(modality, {}).items():
                queue = iter(outputs)
                module.forward = lambda *args, _queue=queue, **kwargs: detach(next(_queue), copy=True)
                stack.callback(delattr, module, "forward")

            yield

    def _spread(self, modality: Modality, encoded: Any) -> Any:
        index = self.feature_index.get(modality)
        if index is None:
            return encoded

        if isinstance(encoded, Tensor):
            return _rows(encoded, index)

        spread = type(encoded)(**encoded)
        vars(spread).update(vars(encoded))  # families set `pooler_output` on outputs that have no such field
        mask, distinct = getattr(encoded, "attention_mask", None), int(index.max()) + 1
        for name in (
            "pooler_output",
            "last_hidden_state",
        ):  # models read one of them: audio has no pooled output, Llama 4 has none
            features = getattr(encoded, name, None)
            if isinstance(mask, Tensor) and isinstance(features, Tensor) and features.shape[:2] == mask.shape:
                features = features[mask.bool()]  # Gemma 4 pads audio, and takes the padding out by this mask

            if features is not None and _count(features) == distinct:
                setattr(spread, name, _rows(features, index))

        if isinstance(mask, Tensor):
            spread.attention_mask = torch.ones(len(index), dtype=mask.dtype, device=mask.device)

        padding = getattr(encoded, "audio_mel_mask", None)
        if (
            isinstance(padding, Tensor) and padding.numel() == distinct
        ):  # Gemma 3n writes over it, in each row of 188 tokens
            spread.audio_mel_mask = padding.flatten()[index].view(-1, padding.shape[1])
            spread.pooler_output = spread.pooler_output.view(-1, padding.shape[1], spread.pooler_output.shape[-1])

        if getattr(encoded, "deepstack_features", None) is not None:
            spread.deepstack_features = [layer[index] for layer in encoded.deepstack_features]

        return spread


def _count(features: Any) -> int:
    """How many tokens there are features of."""
    if isinstance(features, Tensor):
        return features.shape[:-1].numel()

    return sum(item.shape[:-1].numel() for item in features)


def _rows(features: Any, index: Tensor) -> Any:
    """Features of the tokens that `index` names: (tokens, width), or one part for a tuple of parts."""
    if isinstance(features, Tensor):
        return features.flatten(0, -2)[index]

    taken = torch.cat([item.flatten(0, -2) for item in features])[index]
    # of a video, a part has a dimension for frames
    return (taken.reshape(*(1,) * (features[0].dim() - 2), *taken.shape),)


def _frozen_modules(modules: list[nn.Module]) -> Iterator[nn.Module]:
    """The largest submodules with parameters, all of them frozen; a list of blocks is not called itself, so its blocks are taken."""
    for module in modules:
        trainable = [parameter.requires_grad for parameter in module.parameters()]
        if trainable and not any(trainable) and not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            yield module
        elif trainable:
            yield from _frozen_modules(list(module.children()))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of nested dictionaries, lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
