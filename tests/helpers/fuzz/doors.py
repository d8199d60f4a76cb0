"""The ways in for untrusted data: each draws an input, writes it into `Traps.inside`, and opens the door on it.

What a door may do: end well, or say what is wrong by an error of ours. Everything else is a finding.
"""

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from llamafactory.data import get_template_and_fix_tokenizer
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from llamafactory.train.sft import workflow

from helpers.fuzz.folders import NAME, files, texts, write_dataset_folder
from helpers.fuzz.folders import names as path_names
from helpers.fuzz.media import SUFFIXES, good_files
from helpers.fuzz.reports import TAG, write_run
from helpers.fuzz.rows import BLOCKS, changed_row, converter, is_good_block, outcome
from helpers.fuzz.traps import Traps
from helpers.runs import recipe
from modality_interference.batching.collator import TwinCollator
from modality_interference.batching.media_reader import MediaReader
from modality_interference.batching.tokenize import TwinProcessor
from modality_interference.cli import main
from modality_interference.clips import folder as clips
from modality_interference.clips.prepare import Settings
from modality_interference.errors import ModalityInterferenceError, Unusable
from modality_interference.media.image import read_image
from modality_interference.media.thumbnails import clip_thumbnails
from modality_interference.modality import Modality


FAMILY, TEMPLATE = "qwen2_5_omni", "qwen2_omni"  # reads images, videos and audio
SHOWN = {"image_max_pixels": 64 * 64, "image_min_pixels": 16, "video_fps": 4.0, "video_maxlen": 8}


@dataclass(frozen=True)
class Models:
    """Tiny models' processors, which doors need.

    Attributes:
        images: a checkpoint that reads images.
        clips: one that reads videos and audio, too.
    """

    images: Path
    clips: Path


Open = Callable[[], bool]  # opens the door on the input that was drawn, traps armed; whether it made use of the input
Draw = Callable[[st.DataObject, Traps], Open]


@dataclass(frozen=True)
class Door:
    """A way in.

    Attributes:
        what: it is, for the table.
        make: called once in a process; makes what draws an input and returns what opens the door on it.
        share: of the inputs of all doors.
        short: how many inputs it gets in `make test`.
    """

    what: str
    make: Callable[[Models, Traps], Draw]
    share: float
    short: int


def _command(*words: Any) -> int:
    """Run `modality-interference`, as typed."""
    status = main([str(word) for word in words])
    assert status in (0, 1), f"exit code {status}"
    return status


def _no_tag(page: Path) -> None:
    assert not page.exists() or TAG not in page.read_text(encoding="utf-8"), "markup of the input is on the page"


def _check(_: Models, traps: Traps) -> Draw:
    def draw(data: st.DataObject, traps: Traps) -> Open:
        write_dataset_folder(data, traps)
        return lambda: not _command("check", traps.inside, "--rows", 3)

    return draw


def _init(_: Models, traps: Traps) -> Draw:
    """A bare file, whose columns are recognised; what is written of it must pass `check`."""

    def draw(data: st.DataObject, traps: Traps) -> Open:
        write_dataset_folder(data, traps)
        found = sorted(path for path in traps.inside.glob("rows.*"))
        file = found[0] if found else traps.inside / "rows.tsv"
        if not found or data.draw(st.integers(0, 3), "TSV") == 0:
            file = traps.inside / "rows.tsv"
            header = data.draw(st.lists(st.sampled_from([*"ABC", "question", "answer", "image", "index"]), max_size=6))
            lines = data.draw(st.lists(st.lists(texts(traps), max_size=6), max_size=3), "lines")
            text = "\n".join("\t".join(line) for line in [header, *lines])
            file.write_bytes(text.encode("utf-8", "surrogatepass"))

        relevant = data.draw(st.sampled_from(["image", "text"]), "relevant")

        def write() -> bool:
            status = _command(
                *("init", file, "-o", traps.output / "data", "--template", "qwen2_vl"),
                *("--relevant", relevant, "--yes"),
            )
            return not status

        return write

    return draw


def _preview(_: Models, traps: Traps) -> Draw:
    def draw(data: st.DataObject, traps: Traps) -> Open:
        write_dataset_folder(data, traps)
        page = traps.output / "page.html"

        def show() -> bool:
            status = _command("preview", traps.inside, NAME, "-n", 3, "-o", page)
            _no_tag(page)
            return not status

        return show

    return draw


def _run(models: Models, traps: Traps) -> Draw:
    """A run's data path: load, convert, tokenize, and collate the first rows, which reads their media again."""
    keys = recipe(models.clips, TEMPLATE, traps.inside, traps.output / "run", dataset=NAME, **{"video_maxlen": 8})
    model_args, data_args, training_args, *_ = get_train_args(keys | {"cache_dir": str(traps.temporary / "cache")})
    tokenizer_module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)

    def load() -> bool:
        arguments = (template, model_args, copy.copy(data_args), training_args)
        try:
            rows = workflow.get_dataset(*arguments, stage="sft", **tokenizer_module)["train_dataset"]
            collator = TwinCollator(
                template=template, pad_to_multiple_of=8, label_pad_token_id=-100, **tokenizer_module
            )
            collator([rows[index] for index in range(min(3, len(rows)))])
        except ModalityInterferenceError:
            return False

        return True

    def draw(data: st.DataObject, traps: Traps) -> Open:
        write_dataset_folder(data, traps)
        return load

    return draw


def _report(_: Models, traps: Traps) -> Draw:
    def draw(data: st.DataObject, traps: Traps) -> Open:
        runs = [
            write_run(data, traps, name) for name in ("one", "two")[: data.draw(st.sampled_from([1, 1, 2]), "runs")]
        ]
        page = traps.output / "page"

        def build() -> bool:
            if status := _command("report", *runs, "-o", page):
                written = [file.name for file in page.iterdir()] if page.exists() else []
                assert not written, f"it failed, and wrote {written}"

            for file in page.glob("*.html"):
                _no_tag(file)

            return not status

        return build

    return draw


def _media(_: Models, traps: Traps) -> Draw:
    """One file, read in every way."""
    mm_plugin = get_mm_plugin(
        "qwen2_omni", image_token="<|IMAGE|>", video_token="<|VIDEO|>", audio_token="<|AUDIO|>",
        vision_bos_token="<v>", vision_eos_token="</v>", audio_bos_token="<a>", audio_eos_token="</a>",
    )  # fmt: skip

    def read(path: str, data: bytes) -> bool:
        good = False
        with MediaReader(mm_plugin, 1).installed():
            for attempt in (
                lambda: read_image(path),
                lambda: read_image({"bytes": data, "path": path}),
                lambda: mm_plugin._regularize_images([path], **SHOWN),
                lambda: mm_plugin._regularize_videos([path], **SHOWN),
                lambda: mm_plugin._regularize_videos([[path, path]], **SHOWN),
                lambda: mm_plugin._regularize_audios([path], sampling_rate=16000),
            ):
                with suppress(Unusable):
                    attempt()
                    good = True

        for modality in (Modality.VIDEO, Modality.AUDIO):  # which raises nothing
            clip_thumbnails(["row:0"], modality, {"row": [path], "extra": None}, os.path.basename)

        return good

    def draw(data: st.DataObject, traps: Traps) -> Open:
        content = data.draw(files(traps), "content")
        path = traps.inside / f"clip{data.draw(st.sampled_from(SUFFIXES), 'suffix')}"
        path.write_bytes(content)
        return lambda: read(str(path), content)

    return draw


def _clips(_: Models, traps: Traps) -> Draw:
    """`clips prepare`, in this process, and `clips pair`."""

    def in_turn(work: Callable, tasks: Any, workers: int) -> Iterator[tuple[Any, Any]]:
        """What `workers.run_all` does, without its processes, which take seconds to start."""
        for task in tasks:
            yield task, work(task)

    clips.run_all = in_turn
    settings = Settings(seconds=1.0, size=16, fps=4, min_seconds=0.1, silent_below=-199.0)

    def draw(data: st.DataObject, traps: Traps) -> Open:
        names = path_names(traps)
        if data.draw(st.integers(0, 3), "what") == 3:
            _write_manifest(data, traps, names)
            return lambda: not _command("clips", "pair", traps.inside / "clips.jsonl", "-o", traps.output)

        labels = _write_sources(data, traps, names)

        def prepare() -> bool:
            try:
                found = clips.prepare_folder(traps.inside, traps.output / "clips", settings, 1, labels)
            except ModalityInterferenceError:
                return False

            return any(record.status == "ok" for record in found.records)

        return prepare

    return draw


def _write_sources(data: st.DataObject, traps: Traps, names: list[str]) -> Path | None:
    """Files as somebody has sent them, and perhaps their labels."""
    sources = []
    for place in ("dog", "cat", "."):
        (traps.inside / place).mkdir(exist_ok=True)
        source = traps.inside / place / f"a{data.draw(st.sampled_from(SUFFIXES), 'suffix')}"
        how = data.draw(st.sampled_from(["file"] * 6 + ["link", "pipe", "zero", "folder"]), "how")
        if how == "file":
            source.write_bytes(data.draw(files(traps), "content"))
        elif how == "pipe":
            os.mkfifo(source)
        elif how == "folder":
            source.mkdir(exist_ok=True)
        else:
            source.symlink_to("/dev/zero" if how == "zero" else traps.outside / "secret.wav")

        sources.append(source.relative_to(traps.inside).as_posix())

    if not data.draw(st.booleans(), "labels"):
        return None

    cells = st.sampled_from([*sources, *names, "dog", "", '"', "a,b", "\n"]) | st.text(max_size=4)
    header = data.draw(
        st.sampled_from(["file,label", "file,visual_label,audio_label", "label", "file,label,label", ""])
    )
    lines = [[source, "dog", "cat"][: header.count(",") + 1] for source in sources]
    for _ in range(data.draw(st.integers(0, 2), "odd lines")):
        lines.insert(0, data.draw(st.lists(cells, max_size=4), "line"))

    labels = traps.inside / "labels.csv"
    text = "\n".join([header, *(",".join(line) for line in lines)])
    labels.write_bytes(text.encode("utf-8", data.draw(st.sampled_from(["surrogatepass", "replace"]))))
    return labels


def _write_manifest(data: st.DataObject, traps: Traps, names: list[str]) -> None:
    import json

    good = {"source": "a.mp4", "status": "ok", "video": "clip.mp4", "audio": "clip.wav", "seconds": 1.0, "frames": 4}
    (traps.inside / "clip.mp4").write_bytes(good_files()["mp4"])
    lines = []
    for label in ("dog", "cat", "dog", "cat"):
        line: dict[str, Any] = good | {"visual_label": label, "audio_label": label, "source": f"{len(lines)}.mp4"}
        if data.draw(st.integers(0, 3), "changed") == 3:
            key = data.draw(st.sampled_from([*line, "other"]), "key")
            line[key] = data.draw(
                st.none() | st.integers(-9, 9) | st.floats() | st.sampled_from(names) | st.text(max_size=4), key
            )

        lines.append(json.dumps(line))

    content = "".join(f"{line}\n" for line in lines).encode()
    if data.draw(st.integers(0, 5), "broken") == 5:
        content = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=5))

    (traps.inside / "clips.jsonl").write_bytes(content)
    how = data.draw(st.sampled_from(["", "", "", "link", "pipe", "rows"]), "beside it")
    if how == "link":
        (traps.output / "dataset_info.json").symlink_to(traps.outside / "secret.json")
    elif how == "pipe":
        os.mkfifo(traps.output / "dataset_info.json")
    elif how == "rows":
        (traps.output / "dataset_info.json").write_text('{"audio_visual": [1]}')


def row_processor(models: Models, traps: Traps) -> TwinProcessor:
    """As a run makes it."""
    keys = recipe(models.images, "qwen2_vl", traps.inside, traps.output / "run", dataset=NAME, cutoff_len=512)
    model_args, data_args, *_ = get_train_args(keys)
    tokenizer_module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
    return TwinProcessor(template=template, data_args=data_args, **tokenizer_module)


def _rows(models: Models, traps: Traps) -> Draw:
    """Rows of any types, one by one, in every format."""
    processor = row_processor(models, traps)

    def draw(data: st.DataObject, traps: Traps) -> Open:
        (traps.inside / "red.png").write_bytes(good_files()["image png"])
        formatting, block, row = changed_row(data)
        return lambda: not outcome(converter(formatting, traps.inside, block), processor, row)

    return draw


def _blocks(models: Models, traps: Traps) -> Draw:
    processor = row_processor(models, traps)

    def draw(data: st.DataObject, traps: Traps) -> Open:
        (traps.inside / "red.png").write_bytes(good_files()["image png"])
        block = data.draw(BLOCKS, "block")
        return lambda: is_good_block(traps.inside, processor, block)

    return draw


DOORS = {
    "media": Door("one media file, read as image, video and audio", _media, 0.28, 100),
    "check": Door("`check` on a dataset folder", _check, 0.15, 75),
    "run": Door("a run's data path on a dataset folder: load, convert, tokenize, collate", _run, 0.12, 50),
    "init": Door("`init` on a data file", _init, 0.05, 50),
    "preview": Door("`preview` of a dataset folder", _preview, 0.08, 50),
    "report": Door("`report` on one or two runs", _report, 0.02, 20),
    "clips": Door("`clips prepare`, `clips pair`", _clips, 0.15, 75),
    "rows": Door("rows of every format, one by one", _rows, 0.12, 100),
    "blocks": Door("`twins` blocks", _blocks, 0.03, 75),
}
