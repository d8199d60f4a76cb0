"""Stand in for the media readers of LLaMA-Factory's mm_plugin: each medium is read once, and what is wrong is said."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..compat import IgnoresImagesArgument
from ..media.clips import Clip, Result, _clip, _key, _read_sound, _read_video


def remembered(store: OrderedDict, limit: int, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `store` has under `key`, made where it has nothing.

    Args:
        store: results by key, the one used last at the end.
        limit: how many it may hold; the one that was not used for longest is forgotten.
        key: of the result.
        make: computes it.
    """
    if key in store:
        store.move_to_end(key)
    else:
        store[key] = make()
        if len(store) > limit:
            store.popitem(last=False)

    return store[key]


@dataclass
class ClipReader:
    """Stands in for the readers of one of LLaMA-Factory's mm_plugins: reads each medium once, and says what is wrong.

    Videos are read by the mm_plugin itself, sounds by PyAV as LLaMA-Factory would with TorchCodec, which needs ffmpeg.

    Attributes:
        mm_plugin: whose `_regularize_videos` and `_regularize_audios` are replaced while `installed`.
        limit: how many media are kept in memory.
        mm_inputs: whether whole results of `_get_mm_inputs` are kept too, as many; for rows that are asked about again.
    """

    mm_plugin: Any
    limit: int
    mm_inputs: bool = False
    _media: OrderedDict = field(default_factory=OrderedDict, repr=False)
    _results: OrderedDict = field(default_factory=OrderedDict, repr=False)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the mm_plugin's readers."""
        stock_videos, stock_inputs = self.mm_plugin._regularize_videos, self.mm_plugin._get_mm_inputs

        def regularize_videos(videos: list[Any], **settings: Any) -> Result:
            return _joined([self._video(stock_videos, _clip(video), settings) for video in videos])

        def regularize_audios(audios: list[Any], sampling_rate: float, **settings: Any) -> dict[str, list[Any]]:
            sounds = [self._sound(_clip(audio), int(sampling_rate)) for audio in audios]
            return {"audios": sounds, "sampling_rates": [sampling_rate] * len(sounds)}

        def get_mm_inputs(images: list, videos: list, audios: list, processor: Any, *more: Any) -> dict[str, Any]:
            def make() -> dict[str, Any]:
                return stock_inputs(images, videos, audios, IgnoresImagesArgument(processor), *more)

            if images or not self.mm_inputs:
                return make()

            key = (tuple(map(_key, videos)), tuple(map(_key, audios)), repr(more))
            return remembered(self._results, self.limit, key, make)

        replaced = {
            "_regularize_videos": regularize_videos,
            "_regularize_audios": regularize_audios,
            "_get_mm_inputs": get_mm_inputs,
        }
        self.mm_plugin.__dict__.update(replaced)
        try:
            yield
        finally:
            for name in replaced:
                del self.mm_plugin.__dict__[name]

    def _video(self, stock: Callable[..., Result], clip: Clip, settings: dict[str, Any]) -> Result:
        key = ("video", _key(clip.source), repr(settings))
        read = remembered(self._media, self.limit, key, lambda: _read_video(stock, clip.source, settings))
        if not clip.removed:
            return read

        return {**read, "videos": [[Image.new("RGB", frame.size) for frame in read["videos"][0]]]}

    def _sound(self, clip: Clip, rate: int) -> NDArray[np.float32]:
        if isinstance(clip.source, np.ndarray):  # LLaMA-Factory's dummy sound
            return clip.source

        key = ("sound", _key(clip.source), rate)
        samples = remembered(self._media, self.limit, key, lambda: _read_sound(clip.source, rate))
        return np.zeros_like(samples) if clip.removed else samples


def _joined(results: list[Result]) -> Result:
    return {key: [item for result in results for item in result[key]] for key in results[0]}
