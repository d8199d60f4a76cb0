"""Small copies of pictures, for pages that need no other file."""

import base64
from io import BytesIO

from PIL import Image


_SIZE = (256, 256)  # pixels
_SMALL = 64  # pixels; smaller pictures are kept as they are, without JPEG's blur


def thumbnail_uri(image: Image.Image) -> str:
    """A small copy of an RGB picture, as a `data:` URI."""
    kind = "PNG" if max(image.size) <= _SMALL else "JPEG"
    thumbnail, stream = image.copy(), BytesIO()
    thumbnail.thumbnail(_SIZE)
    thumbnail.save(stream, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
