"""Replace the media readers of LLaMA-Factory's mm_plugin: each medium is read once, and errors say what is wrong."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from PIL import Image

from ..compat import IgnoresImagesArgument, opened_as
from ..errors import Unusable
from ..media.audio import read_audio
from ..media.container import check_file, explained, unusable
from ..media.edits import edited_frames, edited_samples
from ..media.image import read_image
from ..media.reference import UnreadMedium
from ..media.video import opened_video, rgb_conversion


REMEMBERED_IMAGES = 4  # results for rows with images, which are large: those of an example's texts come close together

Result = dict[str, list[Any]]  # what LLaMA-Factory's readers return: a list per key, an item per medium


def remembered(store: OrderedDict, limit: int, key: Hashable, make: Callable[[], Any]) -> Any:
    """What `store` has under `key`, made where it has nothing.

    A `functools.lru_cache` cannot be pickled with the processors and collators that hold these results.

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
class MediaReader:
    """Replaces the readers of one of LLaMA-Factory's mm_plugins.

    Images, and frames that a row gives one by one, are read by `media.image`. Videos are opened by `media.container` and read by
    the mm_plugin itself; audio is read by PyAV with the result of LLaMA-Factory's reader, which needs TorchCodec and ffmpeg.

    Attributes:
        mm_plugin: whose `_regularize_images`, `_regularize_videos` and `_regularize_audios` are replaced while `installed`.
        limit: how many media are kept in memory.
        mm_inputs: whether whole results of `_get_mm_inputs` are kept too, as many (of images, `REMEMBERED_IMAGES`); for media
            that are asked about again, as those of a clean row and of its twins with other texts.
    """

    mm_plugin: Any
    limit: int
    mm_inputs: bool = False
    _media: OrderedDict = field(default_factory=OrderedDict, repr=False)
    _results: OrderedDict = field(default_factory=OrderedDict, repr=False)
    _of_images: OrderedDict = field(default_factory=OrderedDict, repr=False)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Replace the mm_plugin's readers."""
        stock_images, stock_videos = self.mm_plugin._regularize_images, self.mm_plugin._regularize_videos
        stock_inputs = self.mm_plugin._get_mm_inputs

        def regularize_images(images: list[Any], **settings: Any) -> Result:
            found = [_read_images(stock_images, image, settings) for image in images]
            return _joined(found) if found else stock_images(images, **settings)

        def regularize_videos(videos: list[Any], **settings: Any) -> Result:
            return _joined([self._video(stock_videos, _unread(video), settings) for video in videos])

        def regularize_audios(audios: list[Any], sampling_rate: float, **settings: Any) -> dict[str, list[Any]]:
            samples = [self._audio(_unread(audio), int(sampling_rate)) for audio in audios]
            return {"audios": samples, "sampling_rates": [sampling_rate] * len(samples)}

        def get_mm_inputs(images: list, videos: list, audios: list, processor: Any, *more: Any) -> dict[str, Any]:
            def make() -> dict[str, Any]:
                return stock_inputs(images, videos, audios, IgnoresImagesArgument(processor), *more)

            if not self.mm_inputs:
                return make()

            key = (tuple(map(id, images)), tuple(map(_key, videos)), tuple(map(_key, audios)), repr(more))
            if not images:
                return dict(remembered(self._results, self.limit, key, make))

            # with the images, so that no other gets the identity of one of them
            kept = remembered(self._of_images, REMEMBERED_IMAGES, key, lambda: (list(images), make()))
            return dict(kept[1])

        replaced = {
            "_regularize_images": regularize_images,
            "_regularize_videos": regularize_videos,
            "_regularize_audios": regularize_audios,
            "_get_video_token_metadata": lambda videos, processor: (
                None
            ),  # it would open files by itself; None: not known
            "_get_mm_inputs": get_mm_inputs,
        }
        self.mm_plugin.__dict__.update(replaced)
        try:
            yield
        finally:
            for name in replaced:
                del self.mm_plugin.__dict__[name]

    def _video(self, stock: Callable[..., Result], video: UnreadMedium, settings: dict[str, Any]) -> Result:
        key = ("video", _key(video.source), repr(settings))
        read = remembered(self._media, self.limit, key, lambda: _read_video(stock, video.source, settings))
        if video.like is not None:
            like = self._video(stock, UnreadMedium(video.like), settings)
            read = {**like, "videos": [_fitted_frames(read["videos"][0], len(like["videos"][0]))]}

        if video.edit is not None:
            return {**read, "videos": [edited_frames(read["videos"][0], Image.Image.tobytes, video.edit)]}

        if not video.removed:
            return read

        return {**read, "videos": [[Image.new("RGB", frame.size) for frame in read["videos"][0]]]}

    def _audio(self, audio: UnreadMedium, rate: int) -> NDArray[np.float32]:
        if isinstance(audio.source, np.ndarray):  # LLaMA-Factory's dummy audio
            return audio.source

        key = ("audio", _key(audio.source), rate)
        samples = remembered(self._media, self.limit, key, lambda: _read_audio(audio.source, rate))
        if audio.like is not None:
            samples = _fitted_samples(samples, len(self._audio(UnreadMedium(audio.like), rate)))

        if audio.edit is not None:
            return edited_samples(samples, rate, audio.edit)

        return np.zeros_like(samples) if audio.removed else samples


def _unread(medium: Any) -> UnreadMedium:
    return medium if isinstance(medium, UnreadMedium) else UnreadMedium(medium)


def _key(medium: Any) -> Any:
    """What tells media apart."""
    unread = _unread(medium)
    sources = (source if isinstance(source, str) else repr(source) for source in (unread.source, unread.like))
    return (*sources, unread.removed, unread.edit)


def _fitted_frames(frames: list[Image.Image], length: int) -> list[Image.Image]:
    """The first `length` frames; the last one again where there are fewer."""
    return [*frames[:length], *[frames[-1]] * (length - len(frames))]


def _fitted_samples(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The first `length` samples; silence behind them where there are fewer."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _joined(results: list[Result]) -> Result:
    return {key: [item for result in results for item in result[key]] for key in results[0]}


def _read_images(stock: Callable[..., Result], image: Any, settings: dict[str, Any]) -> Result:
    """One image, scaled by LLaMA-Factory."""
    opened = image if isinstance(image, Image.Image) else read_image(image)
    try:
        return stock([opened], **settings)
    except ValueError as error:  # a side of less than one pixel, once scaled
        size = f"{opened.width:,} x {opened.height:,} pixels"
        detail = f"{size}, which cannot be scaled to `image_max_pixels` ({error}); cut or scale it"
        raise Unusable("image too thin", detail, image) from error


@dataclass(frozen=True)
class _OneTrack:
    """An open file as LLaMA-Factory's readers of videos see it: the track to decode alone, its frames in the right colours."""

    container: Any
    track: Any

    @property
    def streams(self) -> list[Any]:
        return [self.track]

    def seek(self, *args: Any, **keys: Any) -> None:
        self.container.seek(*args, **keys)

    def decode(self, track: Any) -> Iterator["_OneFrame"]:
        return map(_OneFrame, self.container.decode(track))


@dataclass(frozen=True)
class _OneFrame:
    image: Any

    def to_image(self) -> Image.Image:
        return self.image.to_image(**rgb_conversion(self.image))


def _read_video(stock: Callable[..., Result], source: Any, settings: dict[str, Any]) -> Result:
    check_file(source, "video")
    try:
        if isinstance(source, str):
            with opened_video(source) as (container, track), opened_as(source, _OneTrack(container, track)):
                read = stock([source], **settings)
        else:
            with explained(source, "broken video"):
                read = stock([source], **settings)
    except Unusable as error:
        if isinstance(
            error.__cause__, IndexError
        ):  # of an odd number of frames the last one is repeated: there is none
            raise _without_frames(source) from error

        raise

    if not read["videos"][0]:
        raise _without_frames(source)

    return read


def _without_frames(source: Any) -> Unusable:
    return unusable("video without frames", source, "not one frame can be decoded")


def _read_audio(source: Any, rate: int) -> NDArray[np.float32]:
    """The samples of the main audio track, mixed to one channel and resampled."""
    found = read_audio(source)
    samples = torch.from_numpy(found.samples)
    samples = samples.mean(dim=0) if len(samples) > 1 else samples[0]
    return torchaudio.functional.resample(samples, found.rate, rate).numpy()
