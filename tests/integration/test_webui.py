"""LlamaBoard: a diagnosis from its tab "Evaluate & Predict", and that nothing changes where the field is empty."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import llamafactory.webui.interface  # before its parts, as in `llamafactory-cli webui`
import pytest
import yaml
from helpers.runs import write_datasets
from llamafactory.webui import components, runner
from llamafactory.webui.components.eval import create_eval_tab
from llamafactory.webui.engine import Engine
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from modality_interference.integration import webui


PLUGIN = {"plugin": "modality_interference"}
BIN = Path(sys.executable).parent
SECONDS = 300  # the longest wait, for busy machines


# the tab, without a browser


@pytest.fixture
def engine(tmp_path, monkeypatch) -> Engine:
    """LlamaBoard's engine with the tab; it writes below the working directory."""
    monkeypatch.chdir(tmp_path)
    return build(llamafactory.webui.interface.create_eval_tab)


def build(create: Callable[[Any], dict[str, Any]]) -> Engine:
    engine = Engine()
    with gr.Blocks() as demo:
        engine.manager.add_elems("top", components.create_top())
        with gr.Tab("Evaluate & Predict"):
            engine.manager.add_elems("eval", create(engine))

    engine.demo = demo  # type: ignore[attr-defined]
    return engine


def sent(engine: Engine, button: str, extra: str = "") -> dict[Any, Any]:
    """What a button sends: the values of its inputs, those that a run needs filled in."""
    id_of, button_id = engine.manager.get_id_by_elem, engine.manager.get_elem_by_id(f"eval.{button}")._id
    (event,) = [event for event in engine.demo.fns.values() if (button_id, "click") in event.targets]
    values = {
        "top.lang": "en",
        "top.model_name": "Custom",
        "top.model_path": "model",
        "eval.dataset": ["pictures"],
        "eval.output_dir": "out",
        "eval.extra_args": extra,
    }
    return {elem: values.get(id_of(elem), elem.value) for elem in event.inputs}


def shown_command(engine: Engine, extra: str) -> str:
    (update,) = engine.runner.preview_eval(sent(engine, "cmd_preview_btn", extra))
    return update[engine.manager.get_elem_by_id("eval.output_box")]


def test_an_empty_field_changes_nothing(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("llamafactory.webui.engine.Runner", type(engine.runner).__mro__[1])
    stock = build(create_eval_tab)
    assert type(stock.runner) is runner.Runner and type(engine.runner) is not runner.Runner
    ours, theirs = sent(engine, "start_btn"), sent(stock, "start_btn")
    assert len(ours) == len(theirs) + 1
    for method in ("_parse_eval_args", "_build_config_dict"):
        found = [getattr(each.runner, method)(data) for each, data in ((engine, ours), (stock, theirs))]
        assert list(found[0].items()) == list(found[1].items())

    (theirs_shown,) = stock.runner.preview_eval(sent(stock, "cmd_preview_btn"))
    assert shown_command(engine, "") == theirs_shown[stock.manager.get_elem_by_id("eval.output_box")]
    assert [type(elem).__name__ for elem in engine.manager.get_elem_list()[:-1]] == [
        type(elem).__name__ for elem in stock.manager.get_elem_list()
    ]


@pytest.mark.parametrize(
    ("extra", "keys", "absent"),
    [
        (PLUGIN, {"plugin": "modality_interference", "do_eval": "True"}, {"do_predict", "predict_with_generate"}),
        (
            PLUGIN | {"diagnosis_scoring": "generate"},
            {"do_eval": "True", "predict_with_generate": "True"},
            {"do_predict"},
        ),
        (PLUGIN | {"do_predict": True, "do_eval": False}, {"do_predict": "True"}, {"do_eval"}),
        ({"seed": 7}, {"do_predict": "True", "predict_with_generate": "True", "seed": "7"}, {"do_eval", "plugin"}),
    ],
    ids=["likelihood", "generate", "stock evaluation", "no plugin"],
)
def test_the_field_s_keys_reach_the_command(engine, extra, keys, absent):
    lines = shown_command(engine, json.dumps(extra)).splitlines()
    found = dict(line.strip(" \\").removeprefix("--").split(" ", 1) for line in lines if line.startswith("    --"))
    assert keys.items() <= found.items() and not absent & set(found)


@pytest.mark.parametrize(
    "extra", ["{", "[]", "plugin: modality_interference", "[" * 100_000], ids=lambda text: text[:9]
)
def test_what_is_no_json_object_is_refused_as_on_the_training_tab(engine, extra):
    assert shown_command(engine, extra) == "Invalid JSON schema."


def test_the_field_is_above_the_buttons(engine):
    manager = engine.manager
    row = manager.get_elem_by_id("eval.extra_args").parent.parent  # of a form in a row
    rows = row.parent.children
    assert rows.index(row) + 1 == rows.index(manager.get_elem_by_id("eval.cmd_preview_btn").parent)


def test_another_llamafactory_keeps_its_own_tab(monkeypatch):
    monkeypatch.delattr(runner.Runner, "_parse_eval_args")
    before = components.create_eval_tab
    with pytest.raises(ValueError, match=r"has no `llamafactory.webui.runner.Runner._parse_eval_args`"):
        webui.extend(components)

    assert components.create_eval_tab is before


# in a browser


@pytest.fixture
def board(tmp_path) -> Iterator[str]:
    """The address of a LlamaBoard that `llamafactory-cli webui` has started in an empty folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    variables = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",  # LlamaBoard starts `llamafactory-cli`
        "BROWSER": "true",  # Gradio would open one
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
    }
    with (tmp_path / "board.log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "llamafactory-cli", "webui"],
            cwd=tmp_path,
            env=os.environ | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    try:
        until(lambda: "Running on local URL" in (tmp_path / "board.log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(look: Callable[[], Any]) -> Any:
    """Wait for something that is true."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if found := look():
                return found
        except WebDriverException:  # the page is being built anew
            pass

        time.sleep(0.3)

    raise TimeoutError("not seen")


class Page:
    """What a user does on the page."""

    def __init__(self, chromium: Any) -> None:
        self.chromium = chromium

    def visible(self, path: str) -> Any:
        return until(
            lambda: next((item for item in self.chromium.find_elements(By.XPATH, path) if item.is_displayed()), None)
        )

    def without_notices(self) -> None:
        """Hide the notices that come and go at the top, where they lie over fields."""
        style = "const style = document.createElement('style'); style.textContent = arguments[0]; document.head.append(style)"
        self.chromium.execute_script(style, "[class*=toast] { display: none !important }")

    def press(self, text: str) -> None:
        self.visible(f'//button[normalize-space()="{text}"]').click()

    def write(self, label: str, text: str, end: str = Keys.TAB) -> None:
        """Write into the text field or the list of a label."""
        named = f'//label[.//*[normalize-space(text())="{label}"]]'
        field = self.visible(f'//input[@aria-label="{label}"] | {named}//input | {named}//textarea')
        field.click()
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text)
        time.sleep(0.5)  # a list shows what fits
        field.send_keys(end)
        time.sleep(1)  # LlamaBoard fills in other fields

    def text(self) -> str:
        return self.chromium.find_element(By.TAG_NAME, "body").text


@pytest.mark.slow
def test_a_diagnosis_from_the_browser(chromium, board, checkpoint, tmp_path):
    write_datasets(tmp_path / "colours", rows=4)
    page = Page(chromium)
    chromium.get(board)
    page.without_notices()
    page.press("Evaluate & Predict")
    page.write("Model name", "Custom", Keys.ENTER)
    page.write("Model path", str(checkpoint("qwen2_5_vl")))
    page.write("Chat template", "qwen2_vl", Keys.ENTER)
    page.write("Data dir", "colours")
    page.write("Dataset", "pictures", Keys.ENTER)
    page.write("Output dir", "first")
    page.write("Extra arguments", json.dumps(PLUGIN | {"preprocessing_num_workers": 1, "use_cpu": True}))
    page.press("Start")
    text = until(lambda: "interference.html" in (seen := page.text()) and "Report: " in seen and seen)

    folder = tmp_path / "saves" / "Custom" / "lora" / "first"
    rates = json.loads((folder / "all_results.json").read_text())
    assert f'"eval_pictures_misleading_text_flip_rate": {rates["eval_pictures_misleading_text_flip_rate"]}' in text
    assert "Evaluation: pictures: clean " in text
    recipe = yaml.safe_load((folder / "training_args.yaml").read_text())
    assert recipe["plugin"] == "modality_interference" and "do_predict" not in recipe
    assert "eval.extra_args" not in (folder / "llamaboard_config.yaml").read_text()

    link = page.visible('//a[contains(., "interference.html")]')
    assert link.text == "saves/Custom/lora/first/interference.html"
    address = link.get_attribute("href")
    chromium.get(address)
    assert chromium.title.startswith("Modality interference of ")
    chromium.get(address.replace("interference.html", "all_results.json"))  # nothing else of the folder is served
    assert "File not allowed" in page.text()
