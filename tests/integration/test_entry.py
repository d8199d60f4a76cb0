"""Every way into the plugin, and that it leaves no trace where it is not asked for."""

import configparser
import importlib
import json
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.runs import recipe
from llamafactory import cli
from llamafactory.data import loader, parser
from llamafactory.hparams import FinetuningArguments, get_infer_args, get_train_args
from llamafactory.train import tuner
from llamafactory.train.sft import workflow
from llamafactory.train.tuner import run_exp
from packaging.requirements import Requirement
from safetensors.torch import load_file

from modality_interference import bootstrap
from modality_interference.arguments import DEFAULTS, PLUGIN_KEYS, PluginArguments
from modality_interference.errors import ModalityInterferenceError
from modality_interference.integration import plugin as integration
from modality_interference.integration import versions as plugin_versions
from modality_interference.train.losses import EVIDENCE_MARGIN, LOGGED, LOSS_ALIGNMENT, LOSS_COUNTERFACTUAL


SWAPPED = [
    (parser.DatasetAttr, "join"),
    (loader, "get_dataset_list"),
    (loader, "align_dataset"),
    (loader, "_get_preprocessed_dataset"),
    (workflow, "SFTDataCollatorWith4DAttentionMask"),
    (workflow, "CustomSeq2SeqTrainer"),
    (workflow, "plot_loss"),
    (tuner, "LogCallback"),
]
ROOT = Path(__file__).parents[2]
OFF_BY_DEFAULT = {LOSS_ALIGNMENT, LOSS_COUNTERFACTUAL, EVIDENCE_MARGIN}


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of `trainer_log.jsonl` that report a loss."""
    lines = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def assert_plugin_trained(folder: Path, steps: int) -> None:
    """The log holds our figures: twins were trained on, attacked, and held to their clean rows."""
    lines = log_of(folder)
    assert [line["current_steps"] for line in lines] == list(range(1, steps + 1))
    for line in lines:
        assert set(LOGGED) - OFF_BY_DEFAULT <= set(line)
        assert line["loss_sft"] > 0 and line["loss_adversarial"] > 0 and line["loss_consistency"] > 0
        assert line["loss"] > line["loss_sft"]  # the adversarial part comes on top


def as_words(keys: dict[str, Any]) -> list[str]:
    return [word for key, value in keys.items() for word in (f"--{key}", str(value))]


@pytest.fixture
def keys(checkpoint, datasets, tmp_path) -> Callable[..., dict[str, Any]]:
    """A recipe on the tiny Qwen2.5-VL."""

    def make(name: str = "out", **overrides: Any) -> dict[str, Any]:
        return recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, tmp_path / name, **overrides)

    return make


@pytest.fixture
def cli_train(monkeypatch) -> Callable[..., None]:
    """`llamafactory-cli train ...` without a process of its own."""

    def run(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["llamafactory-cli", "train", *words])
        cli.main()

    return run


# ways in


def test_run_exp(keys, tmp_path):
    run_exp(keys(max_steps=2))
    assert_plugin_trained(tmp_path / "out", 2)


def test_yaml(keys, cli_train, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(keys(consistency_weight=0.5)))
    cli_train(str(tmp_path / "recipe.yaml"))
    assert_plugin_trained(tmp_path / "out", 1)


def test_yaml_with_overrides(keys, cli_train, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(keys(plugin=None)))
    cli_train(str(tmp_path / "recipe.yaml"), "plugin=modality_interference", "adversarial_method=none")
    (line,) = log_of(tmp_path / "out")
    assert "loss_consistency" in line and "loss_adversarial" not in line


def test_words(keys, cli_train, tmp_path):
    cli_train(*as_words(keys(max_steps=2)), "--twins_per_example", "1")
    assert_plugin_trained(tmp_path / "out", 2)


def test_help_lists_every_key(cli_train, capsys):
    with pytest.raises(SystemExit) as caught:
        cli_train("-h")

    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in ("plugin", *PLUGIN_KEYS):
        item = PluginArguments.__dataclass_fields__[name]
        start = text.index(f"--{name}", text.index("options:"))
        assert item.metadata["help"].split("(")[0].strip() in text[start : start + 600], name

    assert "the raw gradient (the paper), its sign (Madry et al.)" in text


@pytest.fixture(scope="session")
def process(checkpoint, datasets, tmp_path_factory) -> Callable[..., Path]:
    """Runs recipes in a process of their own, once per name; the folder gets their outputs and `<name>.txt`."""
    folder = tmp_path_factory.mktemp("processes")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done: set[str] = set()

    def run(name: str, words: list[str], recipes: dict[str, dict[str, Any]], **variables: str) -> Path:
        if name in done:
            return folder

        for title, overrides in recipes.items():
            keys = recipe(checkpoint("qwen2_5_vl"), "qwen2_vl", datasets, folder / title, **overrides)
            (folder / f"{title}.yaml").write_text(yaml.safe_dump(keys))

        environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path} | variables
        words = [*words, *(f"{folder / title}.yaml" for title in recipes)]
        with open(folder / f"{name}.txt", "w") as output:
            ended = subprocess.run(words, env=environment, stdout=output, stderr=subprocess.STDOUT, timeout=400)

        assert ended.returncode == 0, (folder / f"{name}.txt").read_text()[-3000:]
        done.add(name)
        return folder

    return run


TRAIN = ["llamafactory-cli", "train"]
TORCHRUN = {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": "2"}


@pytest.mark.slow
def test_llamafactory_cli_starts_torchrun_children(process, keys, tmp_path):
    mix = dict(max_steps=2, dataset="pictures,sums", batch_mix="image=1,text=1")
    processes = process("ranks", TRAIN, {"ranks": mix | {"ddp_timeout": 300}}, **TORCHRUN)
    text = (processes / "ranks.txt").read_text()
    assert "Initializing 2 distributed tasks" in text
    assert "world size: 2" in text and "Process rank: 1" in text
    assert "batch_mix image=1, text=1: 8 device batches an epoch (4 a rank), limited by `image`" in text
    assert_plugin_trained(processes / "ranks", 2)
    results = json.loads((processes / "ranks" / "all_results.json").read_text())
    assert results["epoch"] == 0.5  # 2 of 4 steps: a step took a batch on each of two ranks

    # both ranks' batches count: one process with twice the batches comes to the same losses and weights
    run_exp(keys(**mix, gradient_accumulation_steps=2))
    ranks, alone = log_of(processes / "ranks"), log_of(tmp_path / "out")
    for one, other in zip(ranks, alone):
        for name in {"loss", *LOGGED} - OFF_BY_DEFAULT:
            assert one[name] == pytest.approx(other[name], rel=1e-4), name

    expected = load_file(tmp_path / "out" / "model.safetensors")
    found = load_file(processes / "ranks" / "model.safetensors")
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=2e-4, rtol=1e-3, msg=name)


def test_every_rank_reads_its_own_batches(keys):
    """Of a stream, accelerate would let the main process cut batches up by rows, twins from their clean rows."""
    assert get_train_args(keys())[2].accelerator_config.dispatch_batches is False
    assert get_train_args(keys(plugin=None, dataset="plain"))[2].accelerator_config.dispatch_batches is None


# without the flag


STOCK = dict(plugin=None, dataset="plain", max_steps=3, learning_rate=1.0e-2, lora_target="all")

WITHOUT = """
import sys, yaml
from llamafactory.train.tuner import run_exp
for path in sys.argv[1:]:
    run_exp(yaml.safe_load(open(path)))

assert not [name for name in sys.modules if name.startswith("modality_interference")]
print("without the package")
"""


def assert_stock(folder: Path, reference: Path) -> None:
    (weights,) = (path.name for path in reference.glob("*model.safetensors"))
    expected, found = load_file(reference / weights), load_file(folder / weights)
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name

    losses = [line["loss"] for line in log_of(reference)]
    assert len(losses) == 3 and losses == [line["loss"] for line in log_of(folder)]
    histories = [json.loads((path / "trainer_state.json").read_text())["log_history"] for path in (folder, reference)]
    for one, other in zip(*histories):  # timings apart
        timing = ("train_runtime", "train_samples_per_second", "train_steps_per_second")
        assert [one.get(key) for key in one if key not in timing] == [
            other.get(key) for key in one if key not in timing
        ]
        assert one.keys() == other.keys()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_without_the_flag_nothing_changes(process, keys, tmp_path, kind):
    recipes = {f"stock_{kind}": STOCK | {"finetuning_type": kind} for kind in ("full", "lora")}
    processes = process("stock", [sys.executable, "-c", WITHOUT], recipes, TORCH_DEVICE_BACKEND_AUTOLOAD="0")
    assert "without the package" in (processes / "stock.txt").read_text()
    run_exp(keys("first", **STOCK, finetuning_type=kind))
    assert_stock(tmp_path / "first", processes / f"stock_{kind}")
    run_exp(keys("with", finetuning_type=kind))  # this one does change LLaMA-Factory's objects
    assert_plugin_trained(tmp_path / "with", 1)
    run_exp(keys("again", **STOCK, finetuning_type=kind))
    assert_stock(tmp_path / "again", processes / f"stock_{kind}")


def test_objects_are_swapped_with_the_flag_only(keys):
    integration.deactivate()
    stock = {pair: getattr(*pair) for pair in SWAPPED}
    for (owner, name), value in stock.items():
        assert "modality_interference" not in value.__module__, (owner, name)

    get_train_args(keys())
    assert all(getattr(*pair) is not stock[pair] for pair in SWAPPED)
    get_train_args(keys())  # twice swaps once
    integration.deactivate()
    assert {pair: getattr(*pair) for pair in SWAPPED} == stock
    get_train_args(keys())
    get_train_args(keys(plugin=None, dataset="plain"))
    assert {pair: getattr(*pair) for pair in SWAPPED} == stock


@pytest.mark.parametrize("key", PLUGIN_KEYS)
@pytest.mark.parametrize("way", ["dict", "words", "equals", "yaml"])
def test_keys_without_the_flag_are_refused(keys, monkeypatch, tmp_path, key, way):
    other = {"batch_mix": "image=1,text=1", "twins_per_example": 2, "adversarial_epsilon": 0.01}
    value = other.get(key, DEFAULTS[key])  # defaults count, too
    stock = keys(plugin=None, dataset="plain")
    message = (
        f"`{key}` is a key of the modality_interference plugin, which is off. Add `plugin: modality_interference`"
    )
    given: Any = None
    if way == "dict":
        given = stock | {key: value}
    elif way == "yaml":
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(stock | {key: value}))
        monkeypatch.setattr(sys, "argv", ["train", str(tmp_path / "recipe.yaml")])
    else:
        words = [f"--{key}", str(value)] if way == "words" else [f"--{key}={value}"]
        monkeypatch.setattr(sys, "argv", ["train", *as_words(stock), *words])

    with pytest.raises(ModalityInterferenceError, match=message):
        get_train_args(given)


def test_an_abbreviated_word_without_the_flag_is_refused(keys, monkeypatch):
    words = as_words(keys(plugin=None, dataset="plain"))
    monkeypatch.setattr(sys, "argv", ["train", *words, "--consistency_t", "2.0"])
    with pytest.raises(ModalityInterferenceError, match="`consistency_temperature` is a key of"):
        get_train_args()


def test_an_override_without_the_flag_is_refused(keys, monkeypatch, tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(keys(plugin=None, dataset="plain")))
    words = ["train", str(tmp_path / "recipe.yaml"), "adversarial_steps=3", "consistency_method=kl"]
    monkeypatch.setattr(sys, "argv", words)
    message = "`consistency_method`, `adversarial_steps` are keys of .*Add `plugin: .*, or remove them"
    with pytest.raises(ModalityInterferenceError, match=message):
        get_train_args()


@pytest.mark.parametrize("version", [None, "1"])
def test_fsdp_1_is_refused(keys, monkeypatch, version):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # as `accelerate launch` sets them
    if version is not None:
        monkeypatch.setenv("FSDP_VERSION", version)

    with pytest.raises(ModalityInterferenceError, match="`fsdp_version: 1` cannot be used with .* use FSDP 2"):
        get_train_args(keys())


def test_fsdp_2_is_not_refused(keys, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    get_train_args(keys())


def test_another_plugin_is_refused(keys):
    with pytest.raises(
        ModalityInterferenceError, match="`plugin` is 'other'; the only one is `modality_interference`."
    ):
        get_train_args(keys(plugin="other"))


# bootstrap


def fresh(code: str, **variables: str) -> dict[str, Any]:
    """Run code in a fresh interpreter; it prints JSON."""
    process = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


def test_bootstrap_imports_nothing_heavy():
    code = """
import sys, json, importlib.abc, importlib.util, types
before = set(sys.modules)
import modality_interference.bootstrap as bootstrap
bootstrap.install()
bootstrap.install()
hooks = [type(finder).__name__ for finder in sys.meta_path if "modality_interference" in type(finder).__module__]
print(json.dumps({"new": sorted(set(sys.modules) - before), "hooks": hooks}))
"""
    found = fresh(code)
    assert found["new"] == ["modality_interference", "modality_interference.bootstrap"]
    assert found["hooks"] == ["_InstallAfterImport"] * len(bootstrap.TARGETS)  # twice installed, once there


def test_importing_torch_places_the_hook_and_nothing_else():
    code = """
import sys, json, time
import torch
hooks = [type(finder).__module__ for finder in sys.meta_path]
loaded = [name for name in sys.modules if name.split(".")[0] in ("llamafactory", "modality_interference", "pydantic",
          "transformers", "datasets")]

from importlib.metadata import entry_points
(entry,) = [entry for entry in entry_points(group="torch.backends") if entry.name == "modality_interference"]
costs = []
for _ in range(25):  # all that the package adds to `import torch`: load the entry point, call it
    for name in ("modality_interference", "modality_interference.bootstrap"):
        del sys.modules[name]

    sys.meta_path[:] = [finder for finder in sys.meta_path if "modality_interference" not in type(finder).__module__]
    start = time.perf_counter()
    entry.load()()
    costs.append(time.perf_counter() - start)

print(json.dumps({"hooks": hooks, "loaded": sorted(loaded), "milliseconds": 1000 * sorted(costs)[len(costs) // 2]}))
"""
    found = fresh(code)
    assert found["hooks"].count("modality_interference.bootstrap") == len(bootstrap.TARGETS)
    assert found["loaded"] == ["modality_interference", "modality_interference.bootstrap"]
    assert found["milliseconds"] < 5


def test_the_entry_point():
    (entry,) = [entry for entry in entry_points(group="torch.backends") if entry.name == "modality_interference"]
    assert entry.value == "modality_interference.bootstrap:install"


@pytest.fixture
def untouched_import():
    """Undo what installing into a copy of the parser would leave."""
    finders = sys.meta_path[:]
    yield
    sys.meta_path[:] = finders


def test_the_hook_installs_after_the_import_and_leaves(untouched_import, monkeypatch, tmp_path):
    (tmp_path / "pretended_parser.py").write_text("ready = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bootstrap, "TARGETS", {"pretended_parser": ("plugin", "install")})
    seen = []
    monkeypatch.setattr(integration, "install", lambda module: seen.append((module.__name__, module.ready)))
    bootstrap.install()
    importlib.import_module("json.tool")  # another import does not set it off
    assert seen == []
    importlib.import_module("pretended_parser")
    assert seen == [("pretended_parser", True)]
    placed = [finder.name for finder in sys.meta_path if isinstance(finder, bootstrap._InstallAfterImport)]
    assert "pretended_parser" not in placed
    del sys.modules["pretended_parser"]


def test_a_broken_install_warns_and_does_not_raise(untouched_import, monkeypatch, tmp_path):
    (tmp_path / "older_parser.py").write_text("get_train_args = read_args = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bootstrap, "TARGETS", {"older_parser": ("plugin", "install")})
    bootstrap.install()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module("older_parser")

    del sys.modules["older_parser"]
    assert module.get_train_args is None
    (text,) = [str(warning.message) for warning in caught if "modality_interference" in str(warning.message)]
    assert text == (
        f"modality_interference could not be installed into LLaMA-Factory: LLaMA-Factory {version('llamafactory')} has "
        "no `older_parser.FinetuningArguments`. modality_interference supports LLaMA-Factory <0.9.7,>=0.9.5."
    )


def test_require_names_the_version():
    assert integration.require("llamafactory.data.loader", "get_dataset", "Dataset.map") is loader
    for names, missing in (
        (("llamafactory.data.loader", "get_dataset", "get_data_set"), "llamafactory.data.loader.get_data_set"),
        (("llamafactory.data.lader",), "llamafactory.data.lader"),
        (("llamafactory.data.parser", "DatasetAttr.joined"), "llamafactory.data.parser.DatasetAttr.joined"),
    ):
        with pytest.raises(ModalityInterferenceError) as caught:
            integration.require(*names)

        assert str(caught.value) == (
            f"LLaMA-Factory {version('llamafactory')} has no `{missing}`. "
            "modality_interference supports LLaMA-Factory <0.9.7,>=0.9.5."
        )


def test_a_missing_name_stops_a_run_with_the_flag_only(keys, monkeypatch):
    integration.deactivate()
    monkeypatch.delattr(workflow, "plot_loss")
    with pytest.raises(ModalityInterferenceError, match="has no `llamafactory.train.sft.workflow.plot_loss`"):
        get_train_args(keys())

    get_train_args(keys(plugin=None, dataset="plain"))
    assert all("modality_interference" not in getattr(*pair).__module__ for pair in SWAPPED if pair[1] != "plot_loss")


@pytest.fixture
def installed(monkeypatch):
    """Pretend that other versions of some packages are installed."""

    def pretend(**versions: str) -> None:
        monkeypatch.delenv("DISABLE_VERSION_CHECK", raising=False)
        monkeypatch.setattr(plugin_versions, "version", lambda name: versions.get(name) or version(name))

    return pretend


def test_supported_versions_are_those_of_setup_cfg():
    needs = configparser.ConfigParser()
    needs.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = {
        Requirement(line).name: Requirement(line) for line in needs["options"]["install_requires"].split("\n") if line
    }
    assert {"llamafactory", "transformers", "torch"} <= set(lines)
    for name in lines:
        assert plugin_versions.supported(name) == (str(lines[name].specifier) or "any")


@pytest.mark.parametrize(
    "found",
    [{"transformers": "5.1.0"}, {"transformers": "5.6.0"}, {"transformers": "6.0.0"}, {"llamafactory": "0.9.4"}],
)
def test_a_version_that_fails_is_refused_with_the_flag_only(found, installed, keys):
    installed(**found)
    ((name, number),) = found.items()
    with pytest.raises(ModalityInterferenceError) as caught:
        get_train_args(keys())

    text = str(caught.value)
    assert f"{name} {number} (supported: {plugin_versions.supported(name)})" in text
    assert "DISABLE_VERSION_CHECK=1" in text
    get_train_args(keys(plugin=None, dataset="plain"))


def test_the_main_branch_and_ones_own_risk_are_accepted(installed, keys, monkeypatch):
    installed(llamafactory="0.9.6.dev0", transformers="5.8.0")
    get_train_args(keys())
    installed(transformers="5.1.0")
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    get_train_args(keys())


def test_arguments_that_another_backend_parses_are_left_alone(keys, monkeypatch):
    """As with USE_MEGATRON_BRIDGE=1 in a LLaMA-Factory whose lists the plugin has not found."""
    parser = types.ModuleType("other_parser")
    parser.__dict__.update(vars(importlib.import_module("llamafactory.hparams.parser")), __name__="other_parser")
    stock = types.SimpleNamespace(stage="sft")
    parser.FinetuningArguments, parser._TRAIN_ARGS, parser._TRAIN_MBRIDGE_ARGS = (
        FinetuningArguments,
        [],
        [FinetuningArguments],
    )
    parser.get_train_args = lambda args=None: (None, None, None, stock, None)
    monkeypatch.setitem(sys.modules, "other_parser", parser)
    integration.install(parser)
    assert parser.get_train_args()[3] is stock
    (extended,) = parser._TRAIN_MBRIDGE_ARGS
    assert issubclass(extended, PluginArguments)


def test_chat_api_and_export_say_that_they_need_no_plugin():
    keys = {"model_name_or_path": "model", "template": "qwen2_vl"}
    with pytest.raises(
        ModalityInterferenceError, match="`plugin`, `adversarial_steps`: only for `llamafactory-cli train`"
    ):
        get_infer_args({**keys, "plugin": "modality_interference", "adversarial_steps": 2})

    with pytest.raises(ValueError, match="temperatur"):
        get_infer_args({**keys, "temperatur": 1})

    assert get_infer_args(keys)[0].model_name_or_path == "model"


def test_v1_trainers_refuse_the_plugin_by_name(tmp_path):
    """In a process of its own, as `USE_V1=1 llamafactory-cli sft` imports its parser."""
    code = """
import json, torch
from llamafactory.v1.config import get_args
said = {}
for name, keys in (("on", {"plugin": "modality_interference"}), ("typo", {"modell": "x"}), ("off", {})):
    try:
        get_args({"model": "m", "output_dir": OUTPUT, **keys})
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
""".replace("OUTPUT", repr(str(tmp_path / "out")))
    said = fresh(code)
    assert said["on"].startswith("ModalityInterferenceError: `plugin`: not to be used with USE_V1=1")
    assert said["typo"].startswith("ValueError") and "modell" in said["typo"]
    assert "off" not in said
