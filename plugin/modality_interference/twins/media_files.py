"""Open a stranger's media file to look at it."""

from contextlib import AbstractContextManager
from typing import Any

import av

from .clip_media import check_file


# Containers that hold their media themselves. Others, playlists say, may name other files or addresses.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg,"  # pictures, and sound with them
    "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr,wv"  # sound
)


def opened(path: Any) -> AbstractContextManager[Any]:
    """Open a media file.

    Raises:
        BadClip: it is no path, missing or empty.
        av.FFmpegError: it holds no media, or in no container of those that are allowed.
    """
    check_file(path, "file")
    return av.open(path, metadata_errors="replace", options={"format_whitelist": _CONTAINERS})
