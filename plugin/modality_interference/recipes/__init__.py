"""What a recipe folder must be like; nothing here reads rows, executes anything or leaves the folder."""
