"""A pytest plugin that notes when a session ends whether this package was installed and took part in it."""

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path


PACKAGE = "modality_interference"


def pytest_sessionfinish() -> None:
    """Write what was seen to the file that `WITNESS` names."""
    declared = any(entry.name == PACKAGE for entry in entry_points(group="torch.backends"))
    imported = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
    installed = f"{PACKAGE}.integration" in imported
    seen = {"declared": declared, "imported": bool(imported), "installed": installed}
    Path(os.environ["WITNESS"]).write_text(json.dumps(seen))
