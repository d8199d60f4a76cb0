"""LlamaBoard: its tab "Evaluate & Predict" gets a field for extra arguments, as its tab "Train" has one, and links the report.

A run whose field is empty is LLaMA-Factory's own: the same recipe, the same files, the same output.
"""

import json
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from ..arguments import PLUGIN_NAME
from ..results import PAGE_FILE
from .plugin import require


_FIELD = (
    "eval.extra_args"  # of the manager; its last part has LLaMA-Factory's translations of the training tab's field
)
_PLACEHOLDER = json.dumps({"plugin": PLUGIN_NAME})


def extend(components: ModuleType) -> None:
    """Let LlamaBoard be built with the field and the link.

    Args:
        components: the freshly imported `llamafactory.webui.components`, out of which LlamaBoard is built next.

    Raises:
        ModalityInterferenceError: if this is a LLaMA-Factory that the plugin does not know; LlamaBoard stays as it is.
    """
    methods = ("_initialize", "_parse_eval_args", "_build_config_dict", "monitor")
    require("llamafactory.webui.runner", *(f"Runner.{name}" for name in methods))
    require("llamafactory.webui.manager", "Manager.get_base_elems", "Manager.get_elem_by_id")
    module = require(components.__name__, "create_eval_tab")
    engine = require("llamafactory.webui.engine", "Runner")
    engine.Runner = diagnosis_runner(engine.Runner)
    module.create_eval_tab = with_extra_arguments(module.create_eval_tab)


def with_extra_arguments(stock: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    """`create_eval_tab`, which also makes the field, and lets the buttons send it."""

    @wraps(stock)
    def create(engine: Any) -> dict[str, Any]:
        import gradio as gr

        manager = engine.manager
        with gr.Row() as row:
            field = gr.Textbox(placeholder=_PLACEHOLDER)

        common = manager.get_base_elems()
        manager.get_base_elems = lambda: common | {field}  # what LLaMA-Factory's function begins its inputs with
        try:
            elements = stock(engine)
        finally:
            del manager.get_base_elems

        _move_above(row, elements["cmd_preview_btn"].parent)
        return {**elements, _FIELD.rpartition(".")[2]: field}

    return create


def _move_above(row: Any, other: Any) -> None:
    """Let a row of a tab be shown above another one."""
    siblings = other.parent.children
    siblings.remove(row)
    siblings.insert(siblings.index(other), row)


def diagnosis_runner(stock: type) -> type:
    """LlamaBoard's `Runner`, which also reads the field and links the report of a run that has written one."""

    class DiagnosisRunner(stock):  # type: ignore[misc, valid-type]
        def _initialize(self, data: dict[Any, Any], do_train: bool, from_preview: bool) -> str:
            problem = super()._initialize(data, do_train, from_preview)
            if problem or do_train or self._extra_arguments(data) is not None:
                return problem

            alerts = require("llamafactory.webui.locales", "ALERTS").ALERTS
            return alerts["err_json_schema"][data[self.manager.get_elem_by_id("top.lang")]]

        def _extra_arguments(self, data: dict[Any, Any]) -> dict[str, Any] | None:
            """What the field holds; None where that is no JSON object."""
            try:
                found = json.loads(data.get(self.manager.get_elem_by_id(_FIELD)) or "{}")
            except (ValueError, RecursionError):  # no JSON, numbers of thousands of digits, nested too deep
                return None

            return found if isinstance(found, dict) else None

        def _parse_eval_args(self, data: dict[Any, Any]) -> dict[str, Any]:
            arguments, extra = super()._parse_eval_args(data), self._extra_arguments(data)
            if extra and extra.get("plugin") == PLUGIN_NAME:
                arguments |= _of_a_diagnosis(extra)

            return arguments | extra if extra else arguments

        def _build_config_dict(self, data: dict[Any, Any]) -> dict[str, Any]:
            """The tab's settings, without the field: a LlamaBoard without the plugin could not read them."""
            return {key: value for key, value in super()._build_config_dict(data).items() if key != _FIELD}

        def monitor(self) -> Iterator[dict[Any, Any]]:
            page, box = self._page(), self.manager.get_elem_by_id(f"{self._tab()}.output_box")
            before, log = _changed(page), ""
            for update in super().monitor():
                log = update.get(box, log)
                yield update

            if _changed(page) not in (None, before):
                yield {box: f"{_link(page)}\n\n{log}"}

        def _tab(self) -> str:
            return "train" if self.do_train else "eval"

        def _page(self) -> Path:
            """Where this run's report will be."""
            names = ("top.model_name", "top.finetuning_type", f"{self._tab()}.output_dir")
            folder = require("llamafactory.webui.common", "get_save_dir").get_save_dir
            return Path(folder(*(self.running_data[self.manager.get_elem_by_id(name)] for name in names)), PAGE_FILE)

    DiagnosisRunner.__name__ = DiagnosisRunner.__qualname__ = stock.__name__
    return DiagnosisRunner


def _of_a_diagnosis(extra: dict[str, Any]) -> dict[str, Any]:
    """What a diagnosis sets otherwise than the tab does; the tab always generates answers, most often to predict."""
    generates = extra.get("diagnosis_scoring") == "generate"
    return {"do_eval": True, "do_predict": False, "predict_with_generate": generates}


def _changed(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.is_file() else None


def _link(page: Path) -> str:
    """A link in Markdown, after which the web server serves this one file to those who may open LlamaBoard."""
    import gradio as gr
    from gradio import route_utils

    gr.set_static_paths([page])
    prefix = getattr(route_utils, "API_PREFIX", "").lstrip("/")  # none before gradio 5
    address = "/".join(filter(None, (prefix, f"file={quote(str(page.resolve()))}")))
    return f"Report: [{page}]({address})"
