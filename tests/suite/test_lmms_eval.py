"""A suite as a task of lmms-eval; `tests/compat/lmms_eval_run.py` runs the real one."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from modality_interference.suite.lmms_eval import task_name


@pytest.fixture(scope="module")
def task(pictures, export):
    folder = export(f"{pictures}:pictures", "lmms-eval")
    spec = importlib.util.spec_from_file_location("exported_utils", folder / "utils.py")
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    return folder, utils, pq.read_table(folder / "data/test.parquet").to_pylist()


def test_the_task_names_its_files_and_functions(task):
    folder, utils, docs = task
    text = (folder / "pictures_twins.yaml").read_text()
    functions = re.findall(r"!function utils\.(\w+)", text)
    assert all(callable(getattr(utils, name)) for name in functions) and len(functions) == 4 + 1 + 3 - 1
    keys = yaml.safe_load(re.sub(r"!function ", "", text))
    assert keys["task"] == "pictures_twins" and (folder / keys["dataset_kwargs"]["data_files"]["test"]).is_file()
    metrics = [f"accuracy_{name}" for name in ("clean", "misleading_text", "unrelated_text")]
    assert [metric["metric"] for metric in keys["metric_list"]] == metrics
    assert keys["doc_to_target"] in docs[0]


def test_utils_need_nothing_but_numpy_and_pillow(task):
    folder, _, _ = task
    code = "import sys, utils; print([n for n in ('torch', 'modality_interference', 'lmms_eval') if n in sys.modules])"
    environment = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"]
    assert subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout == "[]\n"


def test_questions_are_asked_as_they_are(task):
    folder, utils, docs = task
    rows = [json.loads(line) for line in (folder / "suite_rows.jsonl").open()]
    for doc, row in zip(docs, rows, strict=True):
        (turn,) = utils.doc_to_messages(doc)
        image, text = turn["content"]
        assert turn["role"] == "user" and image["type"] == "image" and image["url"].mode == "RGB"
        assert "<image>" + text["text"] == row["prompt"][0]["content"]
        assert utils.doc_to_text(doc) == text["text"] and len(utils.doc_to_visual(doc)) == 1


@pytest.mark.parametrize("answer, right", [("A", True), ("red", True), ("Red.", True), ("The answer is (A).", True)])
def test_a_first_look_at_answers(task, answer, right):
    _, utils, docs = task
    (found,) = utils.process_results(docs[0], [answer]).values()
    assert found == {"id": docs[0]["id"], "right": right}
    assert utils.process_results(docs[0], ["B"])["accuracy_clean"]["right"] is False
    assert utils.share([found, {"right": False}]) == 0.5


def test_clips_are_given_as_files_and_samples(clips, export):
    folder = export(f"{clips}:clips", "lmms-eval", "--perturb", "swapped_audio,silence,black_frames")
    spec = importlib.util.spec_from_file_location("exported_utils", folder / "utils.py")
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)
    docs = pq.read_table(folder / "data/test.parquet").to_pylist()
    assert {doc["perturbation"] for doc in docs} == {"clean", "swapped_audio", "silence", "black_frames"}
    for doc in docs:
        video, audio = utils.doc_to_visual(doc)
        assert open(video, "rb").read() == doc["videos"][0]["bytes"] and audio["sampling_rate"] == 16000
        assert (abs(audio["array"]).max() == 0) == (doc["perturbation"] == "silence")
        kinds = [part["type"] for part in utils.doc_to_messages(doc)[0]["content"]]
        assert sorted(kinds) == ["audio", "text", "video"]


@pytest.mark.engines
def test_the_real_one_answers_as_a_diagnosis(checkpoint, tmp_path):
    sys.path.append(str(Path(__file__).parents[1] / "compat"))
    import lmms_eval_run

    try:
        lmms_eval_run.install()
    except subprocess.CalledProcessError:
        pytest.skip(f"lmms-eval cannot be installed here: uv pip install {' '.join(lmms_eval_run.WANTED)}")

    found = lmms_eval_run.compare(checkpoint("qwen2_5_vl"), tmp_path)
    recorded = json.loads(lmms_eval_run.RESULTS.read_text())
    assert found["same answers"] == found["answers"] == recorded["answers"] == 36
    assert len(found["different answers"]) > 2 and found["rates"]["lmms-eval"] == found["rates"]["diagnosis"]


def test_names_of_tasks():
    assert task_name("My data-set (v2)") == "my_data_set_v2_twins" and task_name("猫") == "dataset_twins"
