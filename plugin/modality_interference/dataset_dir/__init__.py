"""What a dataset folder must be. Nothing here runs code of the folder, or opens files outside of it."""
