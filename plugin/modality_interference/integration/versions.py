"""Which versions of other packages the plugin supports: those that its own metadata, setup.cfg, asks for."""

import os
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from ..errors import ModalityInterferenceError


DISTRIBUTION = "llamafactory-modality-interference"
OWN_RISK = "DISABLE_VERSION_CHECK"  # LLaMA-Factory's variable, which skips its own check, too


def found(package: str) -> str:
    """The installed version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def supported(package: str) -> str:
    """The versions of a package that are supported, such as `<0.9.7,>=0.9.5`; `any` where all are."""
    return next((str(need.specifier) or "any" for need in _requirements() if need.name == package), "any")


def refuse_versions() -> None:
    """Refuse packages of versions with which the plugin fails, before it imports what those lack.

    `pip` lets a later installation break what an earlier one asked for, with a warning at most.

    Raises:
        ModalityInterferenceError: naming package, version found, versions supported, and the fix.
    """
    if os.environ.get(OWN_RISK, "0").lower() in ("true", "1"):
        return

    wrong = [need for need in _requirements() if not need.specifier.contains(found(need.name), prereleases=True)]
    if wrong:
        raise ModalityInterferenceError(
            "modality_interference does not support the installed "
            + ", ".join(f"{need.name} {found(need.name)} (supported: {need.specifier})" for need in wrong)
            + ". Install "
            + " ".join(f"'{need.name}{need.specifier}'" for need in wrong)
            + f", or set {OWN_RISK}=1 to run at your own risk."
        )


def _requirements() -> list[Requirement]:
    """What the package needs whatever its extras; nothing where it was not installed but put on the path."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []

    needs = [Requirement(line) for line in lines]
    return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
