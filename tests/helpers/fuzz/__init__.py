"""Hostile inputs for every door of the package, in child processes that report what was opened, started, or crashed."""
