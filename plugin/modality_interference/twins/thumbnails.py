"""Small copies of pictures, for pages that need no other file."""

import base64
from io import BytesIO

from PIL import Image


SMALL = 64  # pixels; smaller pictures are kept as they are, without JPEG's blur
_SIZE = (256, 256)  # pixels


def thumbnail_uri(image: Image.Image) -> str:
    """A small copy of an RGB picture, as a `data:` URI."""
    thumbnail = image.copy()
    thumbnail.thumbnail(_SIZE)
    return picture_uri(thumbnail, exact=max(image.size) <= SMALL)


def picture_uri(image: Image.Image, exact: bool) -> str:
    """An RGB picture as a `data:` URI.

    Args:
        image: the picture.
        exact: whether it is stored as PNG; else as JPEG, which is smaller where pictures are large.
    """
    kind, stream = "PNG" if exact else "JPEG", BytesIO()
    image.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
