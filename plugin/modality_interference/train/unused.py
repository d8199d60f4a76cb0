"""Parameters that a model has and its forward never uses: DDP would wait for their gradients, and fail."""

from torch import nn


_UNUSED = ("audio_bos_eos_token",)  # Qwen2.5-Omni's audio tower, in transformers 5.5


def freeze_unused(model: nn.Module) -> None:
    """Freeze them; to be called before the optimizer is made."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in _UNUSED:
            module.requires_grad_(False)
