"""Open strangers' media files with PyAV: files that hold their media themselves, decoded on one thread."""

from pathlib import Path

import av
from av.container import InputContainer


# Others, playlists say, may name other files or addresses.
WITH_PICTURE = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg"  # and sound, as a rule
SOUND_ONLY = "wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr,wv"


def open_container(path: str | Path, formats: str) -> InputContainer:
    """Open a media file; a context manager.

    Args:
        path: of the file.
        formats: FFmpeg's names of the containers that it may be, with commas between them.

    Raises:
        ValueError: it is none of them.
        av.FFmpegError: it holds no media, or cannot be opened.
    """
    container = av.open(str(path), metadata_errors="replace", options={"format_whitelist": formats})
    # There are as many processes as cores; and threads outlive a container, and a fork that collects it waits for them.
    for track in (*container.streams.video, *container.streams.audio):
        if track.codec_context is not None:  # a track that PyAV has no decoder for
            track.codec_context.thread_count = 1

    return container
