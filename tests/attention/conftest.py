"""Fixtures of the attention tests."""

from types import SimpleNamespace

import pytest
import torch

from modality_interference.attention.parts import kernel_works


@pytest.fixture
def without_kernel(monkeypatch):
    """A torch that no longer has the operator, which is not part of its documented interface."""
    kernel_works.cache_clear()
    with monkeypatch.context() as hidden:
        hidden.setattr(torch.ops, "aten", SimpleNamespace())
        assert not kernel_works()

    yield
    kernel_works.cache_clear()
