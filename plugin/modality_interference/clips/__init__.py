"""Clips with video and audio: prepared from raw files, and paired into a benchmark of conflicts."""
