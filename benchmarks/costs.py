"""What a training step costs, counted rather than timed: FLOPs by phase, padding, peak memory; and the floor."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modality_interference.arguments import PluginArguments
from modality_interference.batching.batch import TwinBatch
from modality_interference.train.attack import Attack
from modality_interference.train.hooks import ModelParts
from modality_interference.train.media_features import tensors_in
from modality_interference.train.trainer import TwinTrainer


_ATTACKS = ((Attack, "find"), (TwinTrainer, "_climb"))


class Phase(StrEnum):
    """A part of a training step.

    `ATTACK` is what the decoder and the head do in the attack (of freelb: in its steps before the last); the vision tower's
    work is `VISION` wherever it happens.
    """

    VISION = "vision"
    DECODER = "decoder"
    HEAD = "head"
    ATTACK = "attack"


@dataclass
class Count:
    """What was counted in one step.

    Attributes:
        flops: by phase.
        tokens: that the decoder computed in the training forward.
        padding: how many of them were padding.
    """

    flops: dict[Phase, int] = field(default_factory=lambda: dict.fromkeys(Phase, 0))
    tokens: int = 0
    padding: int = 0

    @property
    def total(self) -> int:
        """FLOPs of all phases."""
        return sum(self.flops.values())

    @property
    def padding_share(self) -> float:
        """Padding among the tokens of the training forward."""
        return self.padding / self.tokens


class _PhaseClock:
    """Books the FLOPs since the last look on the phase that has passed."""

    def __init__(self, counter: FlopCounterMode, count: Count) -> None:
        self.counter = counter
        self.count = count
        self.phase = Phase.DECODER
        self.attacking = False
        self._seen = 0

    def enter(self, phase: Phase) -> None:
        """Begin a phase; what was counted so far belongs to the one before."""
        total = self.counter.get_total_flops()
        passed = Phase.ATTACK if self.attacking and self.phase is not Phase.VISION else self.phase
        self.count.flops[passed] += total - self._seen
        self._seen, self.phase = total, phase

    def enter_with_gradient_of(self, value: Any, phase: Phase) -> None:
        """In the backward pass, begin a phase once the gradients of the tensors in `value` are there."""
        for tensor in tensors_in(value):
            if tensor.requires_grad:
                tensor.register_hook(lambda _: self.enter(phase))


def count_step(step: Callable[[], Any], model: nn.Module, pad_token_id: int) -> Count:
    """Count one training step.

    The backward pass goes back through head, decoder and vision tower one after the other; each begins when the gradient of
    the next one's input is there.

    Args:
        step: runs forward and backward.
        model: the model that it trains.
        pad_token_id: fills up rows; is used for nothing else.
    """
    parts, count = ModelParts.of(model), Count()
    counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
    clock = _PhaseClock(counter, count)
    padding = parts.decoder.get_input_embeddings().weight[pad_token_id].detach()
    with ExitStack() as stack:
        for tower in parts.towers:
            stack.enter_context(_phase_of(tower, Phase.VISION, clock))

        stack.enter_context(_phase_of(parts.head, Phase.HEAD, clock))
        stack.enter_context(_attacks(clock))
        stack.enter_context(_tokens(parts.decoder, padding, clock))
        with counter:
            step()
            clock.enter(Phase.DECODER)

    return count


@contextmanager
def _phase_of(module: nn.Module, phase: Phase, clock: _PhaseClock) -> Iterator[None]:
    """Book a module's forward and backward on a phase."""

    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        clock.enter_with_gradient_of((args, kwargs), Phase.DECODER)
        clock.enter(phase)

    def after(module: nn.Module, args: tuple, output: Any) -> None:
        clock.enter_with_gradient_of(output, phase)
        clock.enter(Phase.DECODER)

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
        stack.callback(module.register_forward_hook(after).remove)
        yield


@contextmanager
def _attacks(clock: _PhaseClock) -> Iterator[None]:
    """Tell the clock when an attack goes on."""

    def told(stock: Callable[..., Any]) -> Callable[..., Any]:
        def attack(*args: Any, **kwargs: Any) -> Any:
            clock.enter(Phase.DECODER)
            clock.attacking = True
            try:
                return stock(*args, **kwargs)
            finally:
                clock.enter(Phase.DECODER)
                clock.attacking = False

        return attack

    with ExitStack() as stack:
        for owner, name in _ATTACKS:
            stack.enter_context(patch.object(owner, name, told(getattr(owner, name))))

        yield


@contextmanager
def _tokens(decoder: Any, padding: Tensor, clock: _PhaseClock) -> Iterator[None]:
    """Look at what enters the decoder's first layer, where padding still is the padding token's embedding."""

    def look(layer: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if not clock.attacking:
            states = args[0] if args else kwargs["hidden_states"]
            clock.count.tokens += states.shape[0] * states.shape[1]
            clock.count.padding += int((states.detach() == padding).all(dim=-1).sum())

    handle = decoder.layers[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def floor(model: nn.Module, batch: TwinBatch, arguments: PluginArguments) -> Count:
    """The FLOPs of a step that computes every row by itself and nothing that it does not need.

    With F the FLOPs of the decoder's forward of one row without padding (counted the same way; backward = 2F, to inputs only
    = 1F), H those of the head at the row's answer positions, K the ascent steps, "rows" the clean rows and twins, and
    "masked" the rows that an attack can change:

    - decoder: 3F(rows) + 3F(masked), the latter the adversarial copies;
    - head: 3H(rows) + 3H(masked);
    - attack: 2K (F + H)(masked), of freelb, whose K - 1 steps before the last are training passes, 3 (K - 1) (F + H)(masked);
    - vision: forward of every distinct image, and backward of what is trainable of the tower, once.

    It knows no shared prefixes, so a step that computes those once may cost less.

    Args:
        model: the model.
        batch: of the plugin's collator.
        arguments: the method.
    """
    parts, masked = ModelParts.of(model), []
    if arguments.adversarial_on:
        masked = batch.masked_rows.tolist()

    of_row = _decoder_forward(parts, batch)
    of_head = [2 * parts.width * parts.head.weight.shape[0] * int(row.sum()) for row in batch.answer_positions]
    decoder = 3 * sum(of_row) + 3 * sum(of_row[row] for row in masked)
    head = 3 * sum(of_head) + 3 * sum(of_head[row] for row in masked)
    steps = arguments.adversarial_steps
    passes = 3 * (steps - 1) if arguments.adversarial_method == "freelb" else 2 * steps
    attack = passes * sum(of_row[row] + of_head[row] for row in masked)
    vision = _vision_once(parts, batch)
    flops = {Phase.VISION: vision, Phase.DECODER: decoder, Phase.HEAD: head, Phase.ATTACK: attack}
    return Count(flops, tokens=int(batch.inputs["attention_mask"].sum()))


def _decoder_forward(parts: ModelParts, batch: TwinBatch) -> list[int]:
    """F of every row."""
    lengths = batch.inputs["attention_mask"].sum(dim=1).tolist()
    found: dict[int, int] = {}
    weight = next(parts.decoder.parameters())
    for length in set(lengths):
        counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
        embeds = torch.zeros(1, length, parts.width, dtype=weight.dtype, device=weight.device)
        with torch.no_grad(), counter:
            parts.decoder(inputs_embeds=embeds, use_cache=False)

        found[length] = counter.get_total_flops()

    return [found[length] for length in lengths]


def _vision_once(parts: ModelParts, batch: TwinBatch) -> int:
    """Forward of the distinct images, and the backward that reaches a trainable parameter."""
    if "pixel_values" not in batch.inputs:
        return 0

    pixels, grids = _distinct_images(batch)
    owner: Any = parts.media_owner
    weight = next(owner.parameters())
    counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
    with torch.enable_grad(), counter:
        features = owner.get_image_features(pixels.to(weight), grids.to(weight.device))
        outputs = [tensor for tensor in tensors_in(features.pooler_output) if tensor.requires_grad]
        trainable = [p for tower in parts.towers for p in tower.parameters() if p.requires_grad]
        if outputs:
            torch.autograd.grad(sum(output.sum() for output in outputs), trainable, allow_unused=True)

    return counter.get_total_flops()


def _distinct_images(batch: TwinBatch) -> tuple[Tensor, Tensor]:
    """Pixels and grids of the images of a batch, each once."""
    pixels, grids = batch.inputs["pixel_values"], batch.inputs["image_grid_thw"]
    images = zip(pixels.split(grids.prod(dim=1).tolist()), grids)
    distinct = {image.cpu().numpy().tobytes(): (image, grid) for image, grid in images}
    return torch.cat([image for image, _ in distinct.values()]), torch.stack([grid for _, grid in distinct.values()])


def peak_memory(step: Callable[[], Any], device: torch.device) -> int:
    """The most bytes that a step holds at a time beyond what was there before it: activations, gradients, buffers.

    On CPU the profiler writes down what torch's allocator gives and takes back; run it apart from what is timed.

    Args:
        step: runs forward and backward.
        device: where.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()

    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]

    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for _, change in sorted(changes, key=lambda item: item[0]):
        held += change
        peak = max(peak, held)

    return peak


def _attention_forward(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    """Two products of queries and keys, as torch counts them; it does not know grouped queries, nor the CPU's kernel."""
    rows, heads, queries, width = query
    return 2 * rows * heads * queries * key[2] * (width + value[3])


def _attention_backward(gradient: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    """Five: one that makes the scores again, and two for each of the forward's."""
    rows, heads, queries, width = query
    return 2 * rows * heads * queries * key[2] * (3 * width + 2 * value[3])


_KERNELS = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
)
_ATTENTION: dict[Any, Callable[..., int]] = {
    getattr(torch.ops.aten, f"{kernel}{suffix}"): formula
    for kernel in _KERNELS
    for suffix, formula in (("", _attention_forward), ("_backward", _attention_backward))
}
