"""LLaMA-Factory's own test suite, without this package and with it: every test must end in the same way.

    python tests/llamafactory_suite.py PATH_TO_CHECKOUT

The checkout is LLaMA-Factory's repository at the release that is installed here; its `tests` and `tests_v1` run twice, offline,
on the stand-ins of `llamafactory_hub.py`. Both runs have an environment of links to this one's packages, the first
without this package's. Exits with 1 if a test ends differently (or for another reason), or if the package was seen in
the first run or not seen in the second.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from xml.etree import ElementTree


HERE = Path(__file__).resolve().parent
WITNESS = HERE / "llamafactory_witness.py"
DISTRIBUTION = "llamafactory-modality-interference"
FOLDERS = ("tests", "tests_v1")
TIMEOUT = 3600  # seconds for one run of the suite
WITHOUT, WITH = "without the package", "with the package"
VERDICTS = ("passed", "failed", "error", "skipped", "xfailed")
CHANGING = re.compile(r"0x[0-9a-f]+")  # addresses in messages
UNSET = ("PYTHONPATH", "TORCH_DEVICE_BACKEND_AUTOLOAD")  # would bring the package in, or switch it off
SETTINGS = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "HF_TOKEN": "unused",  # without one the suite skips its tests of gated models, which have stand-ins too
    "OMP_NUM_THREADS": "1",
    "WANDB_DISABLED": "true",
}


@dataclass(frozen=True)
class Outcome:
    """How a test ended: one of `VERDICTS`, and the message of a test that did not pass."""

    verdict: str
    reason: str = ""


Outcomes = dict[str, Outcome]


def main() -> int:
    """Run the suite twice and print the comparison as Markdown."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="LLaMA-Factory's repository at the release that is installed")
    checkout = parser.parse_args().checkout.resolve()
    complaint = complain(checkout)
    if complaint:
        parser.error(complaint)

    from helpers.llamafactory_hub import build_hub  # imports transformers: not for --help

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        build_hub(work / "hub", checkout)
        without = run_suite(checkout, work / "without", work / "hub", installed=False)
        with_package = run_suite(checkout, work / "with", work / "hub", installed=True)

    print(markdown({WITHOUT: without, WITH: with_package}))
    differences = compare(without, with_package)
    print(f"\n{len(differences)} of {len(without | with_package)} tests end differently.", *differences, sep="\n")
    return 1 if differences else 0


def complain(checkout: Path) -> str | None:
    """Say why a folder is not the checkout that is needed, if it is not."""
    environment = checkout / "src" / "llamafactory" / "extras" / "env.py"
    if not environment.is_file() or not all((checkout / name).is_dir() for name in FOLDERS):
        return f"{checkout} is not a checkout of LLaMA-Factory: it lacks {environment.name} or one of {FOLDERS}"

    found = re.search(r'^VERSION = "(.+)"$', environment.read_text(), re.MULTILINE)
    installed = version("llamafactory")
    if found is None or found[1] != installed:
        return f"the checkout is of {found and found[1]}, but {installed} is installed: check out v{installed}"

    return None


def make_environment(folder: Path, installed: bool) -> Path:
    """Make a virtual environment that links to this one's packages, with this package or truly without it.

    Returns:
        Its Python.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    bases = {"base": str(folder), "platbase": str(folder)}
    target = Path(sysconfig.get_path("purelib", "venv", bases))
    own = set() if installed else {path.parts[0] for path in distribution(DISTRIBUTION).files or []}
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            if entry.name not in own | {"__pycache__"} and not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry)

    (target / WITNESS.name).symlink_to(WITNESS)
    return Path(sysconfig.get_path("scripts", "venv", bases)) / "python"


def run_suite(checkout: Path, work: Path, hub: Path, installed: bool) -> Outcomes:
    """Run the checkout's tests in a folder in which hub names are folders, and make sure who took part."""
    print(f"Running the suite {WITH if installed else WITHOUT} ...", file=sys.stderr)
    python = make_environment(work / "environment", installed)
    here = work / "here"
    here.mkdir()
    for owner in hub.iterdir():
        (here / owner.name).symlink_to(owner)

    report, witness, log = work / "report.xml", work / "witness.json", work / "log.txt"
    variables = {key: value for key, value in os.environ.items() if key not in UNSET} | SETTINGS
    variables |= {"HF_HOME": str(work / "cache"), "HF_HUB_CACHE": str(hub / "hub-cache"), "WITNESS": str(witness)}
    # -P: the folder's names must not become importable
    command = [str(python), "-P", "-m", "pytest", *(str(checkout / name) for name in FOLDERS)]
    command += ["--rootdir", str(checkout), "--import-mode=importlib", "-p", WITNESS.stem, "-p", "no:cacheprovider"]
    with log.open("w") as output:
        subprocess.run(
            [*command, f"--junit-xml={report}"],
            cwd=here,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
        )

    if not report.is_file() or not witness.is_file():
        raise SystemExit("The suite did not come to its end:\n" + "\n".join(log.read_text().splitlines()[-30:]))

    seen = json.loads(witness.read_text())
    if set(seen.values()) != {installed}:
        raise SystemExit(f"The package was to be {'present' if installed else 'absent'}, but the run saw {seen}.")

    return read_outcomes(report, work)


def read_outcomes(report: Path, work: Path) -> Outcomes:
    """Read a JUnit report; a run's own folder and addresses are masked in reasons."""
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        verdict, reason = "passed", ""
        for child in case:
            if child.tag in {"failure", "error", "skipped"}:
                verdict = "failed" if child.tag == "failure" else child.tag
                verdict = "xfailed" if child.get("type") == "pytest.xfail" else verdict
                message = child.get("message", "")
                if message == "collection skipped":  # a whole module; the text says why
                    message = ast.literal_eval(child.text or "")[-1].removeprefix("Skipped: ")

                reason = CHANGING.sub("0x", message.replace(str(work), ""))

        outcomes[f"{case.get('classname')}::{case.get('name')}"] = Outcome(verdict, reason)

    return outcomes


def compare(without: Outcomes, with_package: Outcomes) -> list[str]:
    """List the tests that end differently, or for another reason, as Markdown items."""
    differences = []
    for test in sorted(without | with_package):
        before, after = without.get(test), with_package.get(test)
        if before != after:
            ends = " / ".join(_describe(outcome) for outcome in (before, after))
            differences.append(f"- `{test}`: {ends}")

    return differences


def markdown(runs: dict[str, Outcomes]) -> str:
    """Table of the counts, and why tests were skipped or did not pass."""
    lines = [f"| | {' | '.join(VERDICTS)} |", f"| --- |{' ---: |' * len(VERDICTS)}"]
    for name, outcomes in runs.items():
        counts = Counter(outcome.verdict for outcome in outcomes.values())
        lines.append(f"| {name} | {' | '.join(str(counts[verdict]) for verdict in VERDICTS)} |")

    ends = {name: Counter(_describe(outcome) for outcome in outcomes.values()) for name, outcomes in runs.items()}
    reasons = sorted({reason for counts in ends.values() for reason in counts} - {"passed"})
    items = [f"- {reason}: {', '.join(f'{ends[name][reason]} {name}' for name in runs)}" for reason in reasons]
    return "\n".join([*lines, "", *items])


def _describe(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not there"

    first_line = outcome.reason.partition("\n")[0]
    return f"{outcome.verdict} ({first_line})" if first_line else outcome.verdict


if __name__ == "__main__":
    sys.exit(main())
