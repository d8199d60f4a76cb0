"""Prepare all clips of a folder: several at a time, and only what has not been done yet."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import ModalityInterferenceError
from ..files import remove_partial_files
from .labels import Labels, folder_labels, read_labels
from .manifest import JOURNAL, MANIFEST, ClipRecord, append, open_journal, read_journal, read_manifest, write_manifest
from .prepare import AUDIOS, VIDEOS, Settings, file_names, fingerprint, prepare_to_files
from .sources import Found, SourceFile, find_sources
from .workers import deferred_ctrl_c, run_all


_LOCK = ".clips.lock"
_CRASHED = "unreadable: the decoder crashed over it"


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes:
        records: of all inputs, in the order of their names; fewer where the run was interrupted.
        found: what was in the input folder.
        done_before: how many of the records an earlier run had made.
        interrupted: whether Ctrl-C ended the run.
    """

    records: list[ClipRecord]
    found: Found
    done_before: int
    interrupted: bool = False


def prepare_folder(
    folder: Path,
    out: Path,
    settings: Settings,
    workers: int,
    labels_file: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Prepare all clips of a folder, and write `clips.jsonl`.

    Args:
        folder: the input folder.
        out: the output folder, made where it is missing.
        settings: how.
        workers: how many processes.
        labels_file: a CSV file of labels; without one the sub-folders' names are the labels.
        on_progress: called at the start and after each video with how many of how many are done, without those that an
            earlier run did.

    Raises:
        ModalityInterferenceError: a folder or the labels cannot be used, or another run is writing to the same folder.
    """
    folder, out = folder.resolve(), out.resolve()
    _check_folders(folder, out)
    found = find_sources(folder, out)
    if not found.sources:
        raise ModalityInterferenceError(f"`{folder}` holds no video file (looked at {found.others} others).")

    names = [source.name for source in found.sources]
    labels = read_labels(labels_file, names) if labels_file else folder_labels(names)
    with _locked(out):
        return _prepare(found, labels, out, settings, workers, on_progress)


def _prepare(
    found: Found,
    labels: Mapping[str, Labels],
    out: Path,
    settings: Settings,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> Outcome:
    for clips in (out / VIDEOS, out / AUDIOS):
        remove_partial_files(clips)

    done = _done_before(found.sources, out, settings)
    outcome = Outcome([], found, len(done))
    waiting = []
    for source in found.sources:
        if source.refused:
            done[source.name] = ClipRecord(source=source.name, status="skipped", reason=source.refused)
        elif source.name not in done:
            waiting.append(source)

    try:
        _prepare_waiting(waiting, done, out, settings, workers, on_progress)
    except KeyboardInterrupt:  # the second Ctrl-C: the first one waits for the clips that are being made
        pass
    finally:  # after an error, too: what is done is done
        names = [source.name for source in found.sources if source.name in done]
        records = [_labelled(done[name], labels[name]) for name in names]
        write_manifest(out / MANIFEST, records)
        (out / JOURNAL).unlink(missing_ok=True)

    return replace(outcome, records=records, interrupted=len(records) < len(found.sources))


def _prepare_waiting(
    waiting: list[SourceFile],
    done: dict[str, ClipRecord],
    out: Path,
    settings: Settings,
    workers: int,
    on_progress: Callable[[int, int], None],
) -> None:
    """Fill `done`."""
    work = partial(prepare_to_files, out=out, settings=settings)
    with (
        deferred_ctrl_c() as interrupted,
        open_journal(out / JOURNAL) as journal,
        closing(run_all(work, waiting, min(workers, len(waiting) or 1))) as results,
    ):
        if waiting:
            on_progress(0, len(waiting))

        for number, (source, result) in enumerate(results, start=1):
            record = result or ClipRecord(source=source.name, status="skipped", reason=_CRASHED)
            append(journal, record)
            done[source.name] = record
            on_progress(number, len(waiting))
            if interrupted.is_set():
                return


def _done_before(sources: Iterable[SourceFile], out: Path, settings: Settings) -> dict[str, ClipRecord]:
    """The records of earlier runs that are still valid."""
    earlier = [record for _, record in read_manifest(out / MANIFEST)] if (out / MANIFEST).exists() else []
    by_name = {record.source: record for record in [*earlier, *read_journal(out / JOURNAL)]}
    return {
        source.name: by_name[source.name]
        for source in sources
        if source.name in by_name and _is_valid(by_name[source.name], source, out, settings)
    }


def _is_valid(record: ClipRecord, source: SourceFile, out: Path, settings: Settings) -> bool:
    if source.refused or not record.fingerprint or record.fingerprint != fingerprint(source.path, settings):
        return False

    if record.status == "skipped":  # what could not be read may have been a fault of the disk or of permissions
        return not (record.reason or "").startswith("unreadable")

    files = file_names(source.name)
    return (record.video, record.audio) == files and all((out / name).is_file() for name in files)


def _labelled(record: ClipRecord, labels: Labels) -> ClipRecord:
    return record.model_copy(update={"visual_label": labels.visual, "audio_label": labels.audio})


def _check_folders(folder: Path, out: Path) -> None:
    if not folder.is_dir():
        raise ModalityInterferenceError(f"`{folder}` is not a folder. Name the folder that holds the video files.")

    if folder in (out, out / VIDEOS, out / AUDIOS):
        raise ModalityInterferenceError(
            f"the prepared clips would be written among their sources in `{folder}`. Name another output folder."
        )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / _LOCK, timeout=0):
            yield
    except Timeout as error:
        raise ModalityInterferenceError(
            f"another `clips prepare` is writing to `{out}`. Wait until it has ended, or name another output folder."
        ) from error
    except OSError as error:
        raise ModalityInterferenceError(
            f"cannot write to `{out}`: {error.strerror or error}. Free some space or make the folder writable, or "
            "choose another one; the same command then continues where this one ended."
        ) from error
