"""From a reference to pixels, samples and thumbnails."""
