"""Video processors as LLaMA-Factory 0.9.5 calls them: with `images=None`, which those of transformers 5 refuse."""

from typing import Any


class Forgiving:
    """A processor whose video processor does not mind `images=None`; LLaVA-NeXT-Video and Video-LLaVA need it.

    Args:
        processor: the multimodal processor.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._processor, name)
        return _VideosOnly(value) if name == "video_processor" and value is not None else value


class _VideosOnly:
    def __init__(self, stock: Any) -> None:
        self._stock = stock

    def __call__(self, *args: Any, images: None = None, **settings: Any) -> Any:
        return self._stock(*args, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)
