"""Random rows and random `twins` blocks: a good row, a row dropped with a reason, or our own error."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features
from datasets.table import InMemoryTable
from hypothesis import strategies as st
from llamafactory.data import converter as stock_converters
from llamafactory.data.parser import DatasetAttr

from modality_interference.batching.tokenize import TwinProcessor
from modality_interference.data import schema as features
from modality_interference.data.converter import TwinConverter, make_converter
from modality_interference.data.registry import formats, perturbations
from modality_interference.data.spec import TwinsSpec
from modality_interference.errors import ModalityInterferenceError
from modality_interference.files import MediaFolders


TURNS = [{"from": "human", "value": "<image>Which?"}, {"from": "gpt", "value": "red"}]
MEDIA = {"images": ["red.png"], "videos": None, "audios": None}
QUESTION = MEDIA | {"question": "Which colour?", "answer": "A", "context": "Look.", "distractors": ["Rain is wet."]}
CHAT = MEDIA | {"system": "Be kind.", "tools": "", "choices": ["red", "green"], "answer": "A", "distractors": None}
GOOD = {
    "multiple_choice_twins": QUESTION | {"choices": ["red", "green"]},
    "lettered_choice_twins": QUESTION | {"A": "red", "B": "green", "C": None},
    "image_classification_twins": {"images": "red.png", "label": 1, "distractors": None},
    "alpaca_twins": CHAT | {"prompt": "<image>Which?", "response": "red", "query": "", "history": [["a", "b"]]},
    "sharegpt_twins": CHAT | {"messages": TURNS},
    "openai_twins": CHAT | {"messages": TURNS},
}
WORDS = [
    "A",
    "red.png",
    "<image>",
    "<image><video>",
    "../red.png",
    "https://a/b.png",
    "/etc/passwd",
    "a\0",
    "nan",
    "[1]",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.text(st.characters(), max_size=4)  # with surrogates
    | st.sampled_from(WORDS)
    | st.binary(max_size=8)
)
KEYS = st.sampled_from(["bytes", "path", "text", "label", "from", "value", "role", "content"]) | st.text(max_size=3)
CELLS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
TURN_LISTS = st.lists(
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "system"]) | CELLS, "value": CELLS}), max_size=4
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def converter(formatting: str, folder: Path, block: dict[str, Any]) -> TwinConverter:
    """As the data path makes it, with every column that the format knows."""
    columns = {name: name for name in GOOD[formatting]}
    attribute = DatasetAttr("file", "rows.json")
    attribute.join({"formatting": formatting, "columns": {key: columns[key] for key in columns}})
    attribute.formatting = formatting
    data_args = SimpleNamespace(media_dir=str(folder), streaming=False)
    base = stock_converters.DATASET_CONVERTERS[formats()[formatting].base or "alpaca"](attribute, data_args)
    return make_converter(
        formatting=formatting,
        spec=TwinsSpec.parse(block, "rows", formatting),
        columns=columns,
        dataset_name="rows",
        column_names=[*columns, "kind"],
        base_converter=base,
        dataset_dir=str(folder),
        class_names={"label": ("red", "green", "blue")},
        other_rows=[GOOD[formatting]] * 3,
        find_media=base._find_medias,
        media_folders=MediaFolders(str(folder), (str(folder.resolve()),)),
        seed=3,
    )


@cache
def aligned_features() -> Features:
    """Without clips: their columns have the types of the dataset's own."""
    known = features.aligned(Dataset.from_list([{"q": "a"}]), {})
    return Features({name: feature for name, feature in known.items() if name not in ("_videos", "_audios")})


def _stored(aligned: dict[str, Any]) -> dict[str, Any]:
    """What a dataset gives back of a row; its fingerprint, which takes most of the time, is not needed."""
    types = aligned_features()
    table = pa.Table.from_pylist([types.encode_example(aligned)], schema=types.arrow_schema)
    return Dataset(InMemoryTable(table), fingerprint="row")[0]


def outcome(convert: TwinConverter, processor: TwinProcessor, row: dict[str, Any]) -> str:
    """The whole way of a row: converted, stored in Arrow's types, tokenized; why it was dropped."""
    aligned = convert(row, 0)
    clips = {name: aligned.pop(name) for name in ("_videos", "_audios")}
    stored = _stored(aligned)
    try:
        example = processor.preprocess_dataset({name: [value] for name, value in (stored | clips).items()})
    except ModalityInterferenceError as error:  # audio is no fault of the row here, but of the template
        assert clips["_audios"] and "`audio`, which `template: qwen2_vl`" in str(error)
        return f"refused: {error}"

    (reason,) = example["dropped"]
    assert reason or example["input_ids"][0]
    assert reason is None or reason["kind"].replace("-", " ").strip(), reason
    return "" if reason is None else f"{reason['kind']}: {reason['detail']}"


def changed_row(data: st.DataObject) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """A format, a `twins` block, and a row some of whose columns are something else."""
    formatting = data.draw(st.sampled_from(sorted(GOOD)), "formatting")
    good = GOOD[formatting]
    names = data.draw(st.sets(st.sampled_from(sorted(good)), min_size=1, max_size=3), "columns")
    changed = {name: data.draw(CELLS | TURN_LISTS if name == "messages" else CELLS, name) for name in sorted(names)}
    block = {"relevant": "kind", "perturbations": ["misleading_text", "given_text", "black_image", "irrelevant_image"]}
    if formatting == "image_classification_twins":
        block = {"relevant": ["image"], "perturbations": ["misleading_text", "given_text"]}

    kind = data.draw(st.sampled_from(["image", "text"]) | CELLS, "kind")
    return formatting, block, good | changed | {"kind": kind}


PARAMETERS = {"template", "sentences", "tokens", "lines", "size", "pool"}
BLOCKS = st.fixed_dictionaries(
    {
        "relevant": st.sampled_from([["image"], ["text"], "kind"]),
        "perturbations": st.lists(
            st.sampled_from(sorted(perturbations()))
            | st.tuples(
                st.sampled_from(sorted(perturbations())),
                st.dictionaries(st.sampled_from(sorted(PARAMETERS)), JSON | st.integers(0, 99), max_size=1),
            ).map(lambda item: item[1] | {"name": item[0]}),
            max_size=3,
        ),
    },
    optional={"answer": st.sampled_from(["letter", "text"]) | JSON},
)


def is_good_block(folder: Path, processor: TwinProcessor, block: dict[str, Any]) -> bool:
    """Whether a block is not refused; it makes twins of a good row then."""
    try:
        convert = converter("multiple_choice_twins", folder, block)
    except ModalityInterferenceError as error:
        assert "rows" in str(error)
        return False

    found = outcome(convert, processor, GOOD["multiple_choice_twins"] | {"kind": "image"})
    assert found == "", found
    return True
