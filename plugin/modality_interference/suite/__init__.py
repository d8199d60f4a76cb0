"""Frozen twins to publish for other tools, and what these tools' answers amount to."""
