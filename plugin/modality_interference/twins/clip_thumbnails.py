"""Videos and sounds as pages show them: a small picture and a caption.

Clips come from strangers: whatever is wrong with one is said in its caption, never raised.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..modality import Modality
from .clip_media import Clip, find_clip
from .film_strips import film_strip
from .media import BadPicture
from .media_files import BadClip
from .spectrograms import spectrogram


Kind = Literal["video", "sound"]


@dataclass(frozen=True)
class ClipThumbnail:
    """A video or a sound of a row or of a twin.

    Attributes:
        kind: which of them.
        caption: where it comes from, how long it is; why it cannot be shown.
        uri: a film strip or a spectrogram, as a `data:` URI; "" where it cannot be shown.
    """

    kind: Kind
    caption: str
    uri: str


@dataclass(frozen=True)
class _Sense:
    kind: Kind
    removed: str
    draw: Callable[[Any, bool], tuple[str, str]]


SENSES = {
    Modality.VIDEO: _Sense("video", "black frames", film_strip),
    Modality.AUDIO: _Sense("sound", "silence", spectrogram),
}


def clip_thumbnails(
    references: Sequence[str], modality: Modality, media: Mapping[str, Any], name: Callable[[Any], str]
) -> list[ClipThumbnail]:
    """What stands behind references to videos or sounds.

    Args:
        references: of a row or of a twin.
        modality: video or audio.
        media: `row` and `extra`: the row's own media, and those borrowed from other rows; None for none.
        name: of a file or an embedded medium, in captions.

    Raises:
        ModalityInterferenceError: a reference is malformed or names no medium of this row.
    """
    own, extra = (media[key] or () for key in ("row", "extra"))
    return [
        _thumbnail(reference, find_clip(reference, own, extra), SENSES[modality], name) for reference in references
    ]


def _thumbnail(reference: str, clip: Clip, sense: _Sense, name: Callable[[Any], str]) -> ClipThumbnail:
    called = _called(clip.source, name) + (" (another row's)" if reference.startswith("extra:") else "")
    try:
        uri, about = sense.draw(clip.source, clip.removed)
    except Exception as error:  # PyAV and PIL raise whatever their readers stumble over
        return ClipThumbnail(sense.kind, f"{called}: cannot be shown, {_reason(error, sense.kind)}", "")

    return ClipThumbnail(sense.kind, f"{sense.removed if clip.removed else called}, {about}", uri)


def _called(source: Any, name: Callable[[Any], str]) -> str:
    if isinstance(source, (list, tuple)) and source:  # frames one by one
        return f"{name(source[0])} and {len(source) - 1} more"

    return name(source)


def _reason(error: Exception, kind: Kind) -> str:
    """What is wrong, without the path on this machine: pages are shared."""
    if isinstance(error, (BadClip, BadPicture)):
        return error.kind

    return f"broken {kind}: {getattr(error, 'strerror', None) or type(error).__name__}"
