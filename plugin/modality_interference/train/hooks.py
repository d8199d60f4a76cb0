"""The decoder hooks: see and edit what enters the text decoder and the language-model head of any model family.

There is no code for single families: a forward pre-hook on the text decoder sees the merged `inputs_embeds`, and one on the head
keeps the answer positions. A hook exists for one forward only.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.modeling_layers import GradientCheckpointingLayer

from ..attention.packing import pack
from ..attention.row_attention import RowAttention
from ..batching.shared_media import media_owner
from ..errors import ModalityInterferenceError
from ..modality import Modality
from .media_features import MediaFeatures


Edit = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class ModelParts:
    """The modules of a multimodal model that the method touches.

    Attributes:
        decoder: the text decoder, which receives `inputs_embeds`.
        head: the language-model head.
        media_owner: the module with `get_image_features` and the like, None for models without such methods.
        towers: what encodes and projects media: the owner's children other than the decoder.
        width: width of an input embedding.
    """

    decoder: nn.Module
    head: nn.Module
    media_owner: nn.Module | None
    towers: list[nn.Module]
    width: int

    @property
    def depth(self) -> int:
        """Number of layers of the text decoder."""
        return cast(PreTrainedModel, self.decoder).config.num_hidden_layers

    @classmethod
    def of(cls, model: nn.Module) -> "ModelParts":
        """Find the parts of a (PEFT or plain) model.

        Raises:
            ModalityInterferenceError: naming the model class and what it lacks.
        """
        given: Any = model
        base = given.get_base_model() if hasattr(given, "get_base_model") else given
        decoder = _find_decoder(base)
        head = base.get_output_embeddings() if hasattr(base, "get_output_embeddings") else None
        if decoder is None or head is None:
            lacks = "text decoder (`get_decoder()`)" if head is not None else "language-model head"
            raise ModalityInterferenceError(
                f"{type(base).__name__} does not say where its {lacks} is, so modality_interference cannot perturb its "
                "embeddings. docs/compatibility.md lists the models that work."
            )

        owner = media_owner(base)
        towers = list(owner.children()) if owner is not None else []
        towers = [
            tower for tower in towers if tower is not head and not any(part is decoder for part in tower.modules())
        ]
        return cls(decoder, head, owner, towers, decoder.config.hidden_size)

    @contextmanager
    def hooked(
        self,
        edit: Edit | None = None,
        positions: Tensor | None = None,
        media_features: MediaFeatures | None = None,
        record: bool = False,
        row_attention: RowAttention | None = None,
    ) -> Iterator[None]:
        """Arrange one forward of the model.

        Args:
            edit: maps the decoder's keyword arguments to those that it gets.
            positions: (rows, tokens) positions of the decoder's output that the head shall see; the model's logits are
                then (positions, vocabulary).
            media_features: shares and replays encoded media.
            record: let `media_features` record for a later forward.
            row_attention: packs the rows into one sequence, in which they share prefixes; None for rows with padding.

        Raises:
            ModalityInterferenceError: not every layer of the decoder used `row_attention`.
        """

        def before_decoder(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
            if kwargs.get("inputs_embeds") is None:
                raise ModalityInterferenceError(
                    f"{type(module).__name__} was not called with `inputs_embeds`: only models that merge media into "
                    "the text decoder's embeddings can be perturbed."
                )

            kwargs = edit(kwargs) if edit is not None else kwargs
            return args, kwargs if row_attention is None else pack(kwargs, row_attention)

        def before_head(module: nn.Module, args: tuple) -> tuple:
            if row_attention is not None:
                packed = row_attention.rows.keys[positions] - row_attention.rows.before
                return (args[0][0].index_select(0, packed), *args[1:])

            return (args[0][positions], *args[1:])

        with ExitStack() as stack:
            if edit is not None or row_attention is not None:
                handle = self.decoder.register_forward_pre_hook(before_decoder, with_kwargs=True)
                stack.callback(handle.remove)

            if positions is not None:
                stack.callback(self.head.register_forward_pre_hook(before_head).remove)

            if media_features is not None:
                stack.enter_context(media_features.installed(record))

            yield

        if row_attention is not None and len(row_attention.layers) != self.depth:
            raise ModalityInterferenceError(
                f"Prefix sharing reached {len(row_attention.layers)} of {self.depth} layers of {type(self.decoder).__name__}: the "
                "others do not compute their attention through transformers' attention interface. Set `share_prefix: false`."
            )

    def media_features(self, feature_index: Mapping[Modality, Tensor] | None) -> MediaFeatures | None:
        """Features of images, videos and audio for the forwards of one step; None for models without methods that encode them."""
        if self.media_owner is None:
            return None

        return MediaFeatures(self.media_owner, self.towers, feature_index)


def perturb(embeds: Tensor, mask: Tensor, delta: Tensor) -> Tensor:
    """Add delta to the input embeddings of masked tokens.

    Args:
        embeds: (rows, tokens, hidden).
        mask: (rows, tokens).
        delta: (masked, hidden) float32, of the masked tokens in row-major order.
    """
    tokens = embeds.flatten(0, 1)
    masked = mask.flatten().nonzero()[:, 0]
    moved = tokens.index_select(0, masked) + delta.to(embeds.dtype)
    return tokens.index_copy(0, masked, moved).view_as(embeds)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout and without gradient checkpointing (`torch.autograd.grad` does not work through the reentrant kind)."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False

    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def attack_mode(model: nn.Module, decoder: nn.Module) -> Iterator[None]:
    """`evaluation_mode`, but with the text decoder's gradient checkpointing: without it, the attack needs more memory than training.

    Checkpointing is non-reentrant here. DeepSpeed's ZeRO-3 loses parameters through that, so under ZeRO-3 nothing is checkpointed.
    The layers themselves hold no dropout; their children do.

    Args:
        model: all of it.
        decoder: its text decoder.
    """
    with evaluation_mode(model):
        layers: list[Any] = [
            module
            for module in decoder.modules()
            if isinstance(module, GradientCheckpointingLayer)
            and module.gradient_checkpointing
            and not is_deepspeed_zero3_enabled()
        ]
        stock = [layer._gradient_checkpointing_func for layer in layers]
        for layer in layers:
            layer.training = True
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)

        try:
            yield
        finally:
            for layer, function in zip(layers, stock):
                layer.training = False
                layer._gradient_checkpointing_func = function


def refuse_router_loss(model: nn.Module) -> None:
    """Refuse a checkpoint that asks for its routers' auxiliary loss, which the plugin's loss does not have.

    Raises:
        ModalityInterferenceError: naming the key of config.json.
    """
    config: Any = getattr(model, "config", None)
    if any(getattr(part, "output_router_logits", False) for part in (config, config and config.get_text_config())):
        raise ModalityInterferenceError(
            f"The config.json of this {type(model).__name__} has `output_router_logits: true`, which adds the routers' auxiliary "
            "loss. It would be counted over twins, adversarial copies and shared prefixes alike. Set it to false there."
        )


def _find_decoder(base: Any) -> Any:
    decoder = base.get_decoder() if hasattr(base, "get_decoder") else None
    if decoder is base:  # Qwen2.5-Omni's thinker returns itself (transformers 5.5)
        decoder = getattr(base, "model", None)

    return decoder if isinstance(decoder, nn.Module) else None
