"""Build the benchmark of conflicts: parts, a partner for every clip, rows, and entries in `dataset_info.json`."""

import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from ..data import formats, perturbations  # noqa: F401  (registers what entries name)
from ..data.options import MAX_OPTIONS
from ..data.spec import TwinsSpec
from ..dataset_dir.info import check_names, merge_entries
from ..errors import ModalityInterferenceError
from ..files import is_inside, write_text
from .labels import LabelledClip, Labels, class_names, usable_clips
from .manifest import JOURNAL, MANIFEST
from .split import split


FORMAT = "audio_visual_twins"
PERTURBATIONS = ("swapped_audio", "swapped_video", "silence", "black_frames", "misleading_caption", "long_context")
_LABEL_COLUMNS = ("visual_label", "audio_label")
_PARTNER_COLUMNS = ("swapped_video", "swapped_audio", "swapped_visual_label", "swapped_audio_label")


@dataclass(frozen=True)
class Plan:
    """What benchmark to build.

    Attributes:
        name: of the dataset.
        options: how many options a question offers, or `all` classes.
        answer: what the model shall answer: an option's `text` or its `letter`.
        question: what is asked, as the key of `twins` says it; None for the format's own words.
        abstention: the option that says that one cannot tell; with it, datasets are added from which the asked modality is
            removed, and one that offers abstention on whole rows. None for no such datasets.
        shares: of the parts; empty for a single dataset.
        seed: of the partners and the parts.
    """

    name: str = "audio_visual"
    options: int | str = "all"
    answer: str = "text"
    question: str | None = None
    abstention: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 42


@dataclass(frozen=True)
class Benchmark:
    """What was built.

    Attributes:
        parts: the clips by the name of their dataset.
        datasets: the names of all datasets, with those of abstention.
        classes: sorted.
        unused: how many lines of `clips.jsonl` could not be used, by reason.
        media_dir: what a recipe must give as `media_dir`; None where the paths start from the datasets' own folder.
    """

    parts: dict[str, list[LabelledClip]]
    datasets: list[str]
    classes: list[str]
    unused: Counter[str]
    media_dir: Path | None


def build_benchmark(manifest: Path, out: Path | None, plan: Plan) -> Benchmark:
    """Write `<name>.jsonl` and its entry in `dataset_info.json`.

    Args:
        manifest: a `clips.jsonl`.
        out: the folder to write to; None for that of `clips.jsonl`.
        plan: what to build.

    Raises:
        ModalityInterferenceError: the clips cannot be used or paired, or something would be overwritten. Nothing has
            been written then.
    """
    home = manifest.resolve().parent
    out = home if out is None else out.resolve()
    clips, unused = usable_clips(manifest, home)
    classes = class_names(clips, manifest, plan.abstention)
    _check_options(plan, classes)
    parts = _parts(clips, plan)
    rows = {name: _rows(part, plan.seed, f"dataset `{name}`", _prefix(home, out)) for name, part in parts.items()}
    entries = _entries(list(parts), classes, plan)
    for name, entry in entries.items():
        if entry["file_name"] in (MANIFEST, JOURNAL):
            raise ModalityInterferenceError(
                f"`--name {name}` would overwrite the list of clips, {entry['file_name']}. Choose another name."
            )

        TwinsSpec.parse(entry["twins"], name, FORMAT)

    check_names(out, entries, FORMAT)
    for name, part in rows.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
        write_text(out / f"{name}.jsonl", text)

    merge_entries(out, entries)
    return Benchmark(parts, list(entries), classes, unused, None if home.is_relative_to(out) else home)


def _check_options(plan: Plan, classes: list[str]) -> None:
    offered = len(classes) if plan.options == "all" else min(int(plan.options), len(classes))
    offered += plan.abstention is not None
    if offered > MAX_OPTIONS:
        raise ModalityInterferenceError(
            f"a question would offer {offered} options, and {MAX_OPTIONS} are the most. Give a smaller number, such "
            "as `--options 4`."
        )


def _parts(clips: list[LabelledClip], plan: Plan) -> dict[str, list[LabelledClip]]:
    if not plan.shares:
        return {plan.name: clips}

    parts = split([clip.labels for clip in clips], plan.shares, plan.seed)
    for part, indexes in parts.items():
        if not indexes:
            raise ModalityInterferenceError(
                f"`--split`: the part `{part}` would get none of the {len(clips)} clips. Give it a larger share."
            )

    return {f"{plan.name}_{part}": [clips[index] for index in indexes] for part, indexes in parts.items()}


def _rows(clips: list[LabelledClip], seed: int, where: str, prefix: str) -> list[dict[str, Any]]:
    """A row per clip. A video and the audio that it is put beside are asked about in two rows: that of each of them."""
    heard = assign_partners([clip.labels for clip in clips], seed, where)
    seen = np.argsort(heard)  # whose partner a clip is
    return [_row(clip, clips[seen[index]], clips[heard[index]], prefix) for index, clip in enumerate(clips)]


def _row(clip: LabelledClip, seen: LabelledClip, heard: LabelledClip, prefix: str) -> dict[str, Any]:
    return {
        "video": prefix + clip.video,
        "audio": prefix + clip.audio,
        "visual_label": clip.labels.visual,
        "audio_label": clip.labels.audio,
        "swapped_video": prefix + seen.video,
        "swapped_audio": prefix + heard.audio,
        "swapped_visual_label": seen.labels.visual,
        "swapped_audio_label": heard.labels.audio,
    }


def _prefix(home: Path, out: Path) -> str:
    """From the datasets' folder to the clips'. Where that would lead upwards, `media_dir` has to say it."""
    steps = os.path.relpath(home, out) if is_inside(home, out) else "."
    return "" if steps == "." else f"{Path(steps).as_posix()}/"


def _entries(parts: list[str], classes: list[str], plan: Plan) -> dict[str, dict[str, Any]]:
    entries = {}
    twins = {"classes": classes, "options": plan.options, "answer": plan.answer, "ask_about": "both"}
    if plan.question is not None:
        twins["question"] = plan.question

    for name in parts:
        common = {"file_name": f"{name}.jsonl", "formatting": FORMAT, "columns": _columns()}
        entries[name] = common | {"twins": twins | {"perturbations": list(PERTURBATIONS)}}
        if plan.abstention is not None:
            removed: dict[str, Any] = {"drop_asked_modality": True}
            offered: dict[str, Any] = {"abstention": plan.abstention}
            forms = {"removed": removed, "removed_abstention": removed | offered, "abstention": offered}
            for suffix, keys in forms.items():
                entries[f"{name}_{suffix}"] = common | {"twins": {**twins, "perturbations": [], **keys}}

    return entries


def _columns() -> dict[str, str]:
    return {"videos": "video", "audios": "audio"} | {name: name for name in (*_LABEL_COLUMNS, *_PARTNER_COLUMNS)}


_MIXING = 20  # exchanges tried per clip


def assign_partners(labels: Sequence[Labels], seed: int, where: str) -> list[int]:
    """Draw a permutation: whose audio is put beside each clip's video.

    Video and audio must be of different classes. Where clips themselves show one thing and sound like another, a partner
    besides has no class in common with the clip, as far as exchanges find such partners.

    Args:
        labels: of the clips; both are known.
        seed: of the rng.
        where: what the clips are called in messages.

    Returns:
        For each clip the index of its partner; every index occurs once.

    Raises:
        ModalityInterferenceError: there is no such permutation; says why and what to do.
    """
    rng = random.Random(f"partners {seed}")
    partners = _some_partners(labels, rng, where)
    for _ in range(_MIXING * len(partners)):  # exchanges lead from any such permutation to others; many lead far away
        one, other = rng.randrange(len(partners)), rng.randrange(len(partners))
        now = [(labels[index], labels[partners[index]]) for index in (one, other)]
        then = [(labels[one], labels[partners[other]]), (labels[other], labels[partners[one]])]
        if all(_contradict(*pair) for pair in then) and sum(map(_differ, *zip(*then))) >= sum(
            map(_differ, *zip(*now))
        ):
            partners[one], partners[other] = partners[other], partners[one]

    return partners


def _some_partners(labels: Sequence[Labels], rng: random.Random, where: str) -> list[int]:
    """Any permutation that will do: how many clips of each kind get partners of each kind is a flow problem."""
    members: defaultdict[Labels, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)

    kinds = list(members)
    for allowed in (_differ, _contradict):
        flow = _flow(kinds, [len(members[kind]) for kind in kinds], allowed)
        if int(flow.sum()) == len(labels):
            break
    else:
        raise ModalityInterferenceError(_impossible(labels, where))

    free = {kind: rng.sample(members[kind], len(members[kind])) for kind in kinds}
    partners = [0] * len(labels)
    for row, kind in enumerate(kinds):
        drawn = [free[other].pop() for column, other in enumerate(kinds) for _ in range(flow[row, column])]
        for index, partner in zip(members[kind], drawn, strict=True):
            partners[index] = partner

    return partners


def _flow(kinds: list[Labels], sizes: list[int], allowed: Callable[[Labels, Labels], bool]) -> np.ndarray:
    """How many clips of each kind (row) can get a partner of each kind (column): a flow from a source to a sink."""
    number = len(kinds)
    sink = 2 * number + 1
    capacity = np.zeros((sink + 1, sink + 1), np.int32)
    for row, kind in enumerate(kinds):
        capacity[0, 1 + row] = capacity[1 + number + row, sink] = sizes[row]
        for column, other in enumerate(kinds):
            if allowed(kind, other):
                capacity[1 + row, 1 + number + column] = sizes[row]

    flow = maximum_flow(csr_array(capacity), 0, sink).flow.toarray()
    return flow[1 : 1 + number, 1 + number : sink]


def _contradict(clip: Labels, partner: Labels) -> bool:
    """Whether the video of one beside the audio of the other is misaligned."""
    return clip.visual != partner.audio


def _differ(clip: Labels, partner: Labels) -> bool:
    return {clip.visual, clip.audio}.isdisjoint((partner.visual, partner.audio))


def _impossible(labels: Sequence[Labels], where: str) -> str:
    """There is a permutation just where no class is seen and heard in more clips, together, than there are (Hall)."""
    total = len(labels)
    seen, heard = Counter(label.visual for label in labels), Counter(label.audio for label in labels)
    name = max(seen, key=lambda name: seen[name] + heard[name])
    excess = seen[name] + heard[name] - total
    if seen[name] == heard[name]:
        return (
            f"{where}: the class `{name}` holds {seen[name]} of {total} clips, more than half, so that not all "
            f"find a partner of another class. Remove {excess} of it, or add as many clips of other classes."
        )

    return (
        f"{where}: the class `{name}` is seen in {seen[name]} and heard in {heard[name]} of {total} clips, together more than "
        f"all, so that not all videos find the audio of another class. Remove {excess} clips in which it is seen and heard, or "
        "add as many clips of other classes."
    )
