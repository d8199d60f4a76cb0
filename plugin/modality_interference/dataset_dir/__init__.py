"""What a dataset folder must be; nothing here reads rows, executes anything or leaves the folder."""
