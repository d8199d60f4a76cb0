"""Clips with picture and sound: prepared from raw video files, and paired into a benchmark of conflicts."""
