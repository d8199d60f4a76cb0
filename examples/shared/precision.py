"""Which number format this machine multiplies matrices in faster."""

import torch
from torch.utils.benchmark import Timer


ROWS, INNER, COLUMNS = 128, 576, 1536  # about those of a small language model's step


def bfloat16_pays() -> bool:
    """Whether bfloat16 is faster than float32 here, which is measured.

    Processors with AVX512-BF16 or AMX take half the time; others can take 40 times as long.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()

    def seconds(dtype: torch.dtype) -> float:
        tensors = {"a": torch.randn(ROWS, INNER, dtype=dtype), "b": torch.randn(INNER, COLUMNS, dtype=dtype)}
        return Timer("a @ b", globals=tensors).timeit(3).median

    return seconds(torch.bfloat16) < seconds(torch.float32)
