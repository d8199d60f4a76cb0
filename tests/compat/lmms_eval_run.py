"""Runs PyPI's lmms-eval on an exported suite with a tiny model, and compares its answers with those of a diagnosis.

    python tests/compat/lmms_eval_run.py    # about two minutes

lmms-eval gets an environment of its own in build/compat/lmms-eval: it wants other versions than the package. What was found is
written to lmms_eval.json; `make test-engines` runs the same.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name("lmms_eval.json")
ENVIRONMENT = ROOT / "build" / "compat" / "lmms-eval"
# filelock: lmms-eval 0.7.3 imports `filelock._api`, which filelock 4 does not have; decord, torchaudio: it imports them and does
# not require them. The others: those of constraints.txt, which the tiny model is made with.
PINNED = ("torch", "torchvision", "torchaudio", "transformers", "accelerate", "datasets")
WANTED = ("lmms-eval==0.7.3", "decord", "filelock<4")
SHOWN = ("lmms-eval", "transformers", "torch", "datasets")
SIZE = 112  # pixels: a multiple of 28, so that qwen_vl_utils leaves the images to the model's processor, as LLaMA-Factory does
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black", "brown", "pink", "gray", "cyan")
# as Qwen2.5-VL's own, for turns without tools
CHAT_TEMPLATE = """\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}\
{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}\
{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def install() -> Path:
    """Make the environment, where it is not there yet.

    Returns:
        its Python.

    Raises:
        subprocess.CalledProcessError: it cannot be installed.
    """
    python = ENVIRONMENT / "bin" / "python"
    if (ENVIRONMENT / ".installed").is_file():
        return python

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line.partition("==")[0] in PINNED]
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), *WANTED, *pins], check=True)
    (ENVIRONMENT / ".installed").touch()
    return python


def write_dataset(folder: Path) -> Path:
    """Noise of a colour, and four options of which a letter is the answer."""
    import numpy as np
    from PIL import Image, ImageChops

    folder.mkdir()
    rows = []
    for index, colour in enumerate(COLOURS):
        noise = Image.fromarray(np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3), np.uint8))
        ImageChops.multiply(noise, Image.new("RGB", noise.size, colour)).save(folder / f"{colour}.png")
        options = [COLOURS[(index + shift) % len(COLOURS)] for shift in range(4)]
        options = options[index % 4 :] + options[: index % 4]
        rows.append({"question": "Which colour?", "choices": options, "answer": colour, "images": [f"{colour}.png"]})

    entry = {
        "file_name": "colours.json",
        "formatting": "multiple_choice_twins",
        "columns": {name: name for name in ("question", "choices", "answer", "images")},
        "twins": {"relevant": ["image"], "perturbations": ["misleading_text", "unrelated_text"]},
    }
    (folder / "colours.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"colours": entry}))
    return folder


def write_model(checkpoint: Path, folder: Path) -> Path:
    """A tiny Qwen2.5-VL that always answers with a letter, which one depends on all that it is asked."""
    import torch
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    shutil.copytree(checkpoint, folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    letters = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "ABCD"]
    head = model.get_output_embeddings().weight
    with torch.no_grad():
        rows = torch.randn(4, head.shape[1], generator=torch.Generator().manual_seed(0))
        head.zero_()
        head[letters] = rows

    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    return folder


def evaluate(python: Path, task: Path, model: Path, folder: Path) -> Path:
    """Run lmms-eval.

    Returns:
        its file of samples.
    """
    size = "min_pixels=1024,max_pixels=4096"  # the tiny processor's own, which lmms-eval would replace
    model_args = f"pretrained={model},device=cpu,device_map=cpu,{size}"
    command = [str(python), "-m", "lmms_eval", "--model", "qwen2_5_vl", "--model_args", model_args]
    command += ["--include_path", str(task), "--tasks", "colours_twins", "--batch_size", "1", "--log_samples"]
    command += ["--gen_kwargs", "max_new_tokens=1", "--output_path", str(folder / "results")]
    _run(command, HF_HOME=str(folder / "home"))
    (samples,) = (folder / "results").glob("*/*_samples_colours_twins.jsonl")
    return samples


def diagnose(data: Path, model: Path, folder: Path) -> Path:
    """The diagnosis of the same model and questions by LLaMA-Factory, in bfloat16, as lmms-eval loads its models."""
    keys: dict[str, Any] = {
        "model_name_or_path": str(model),
        "template": "qwen2_vl",
        "stage": "sft",
        "do_train": False,
        "do_eval": True,
        "plugin": "modality_interference",
        "dataset_dir": str(data),
        "eval_dataset": "colours",
        "output_dir": str(folder / "run"),
        "diagnosis_scoring": "generate",
        "predict_with_generate": True,
        "max_new_tokens": 1,
        "infer_dtype": "bfloat16",
        "per_device_eval_batch_size": 1,
        "share_prefix": "false",
        "use_cpu": True,
        "report_to": "none",
        "seed": 42,
    }
    (folder / "recipe.json").write_text(json.dumps(keys))  # JSON is YAML
    (folder / "recipe.json").rename(folder / "recipe.yaml")
    _run([str(Path(sys.executable).with_name("llamafactory-cli")), "train", str(folder / "recipe.yaml")])
    return folder / "run"


def compare(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Export, answer with lmms-eval, score; diagnose; and compare row by row.

    Args:
        checkpoint: of a tiny Qwen2.5-VL.
        folder: for everything that is made.

    Returns:
        how many answers there are and how many are the same, the rates of both, and the versions.
    """
    from modality_interference.cli import main
    from modality_interference.results import read_diagnosis, read_rows

    python = install()
    data, model = write_dataset(folder / "data"), write_model(checkpoint, folder / "model")
    assert main(["suite", "export", f"{data}:colours", "-o", str(folder / "task"), "--to", "lmms-eval"]) == 0
    samples = evaluate(python, folder / "task", model, folder)
    assert main(["suite", "score", str(samples), "--suite", str(folder / "task"), "-o", str(folder / "scored")]) == 0
    run = diagnose(data, model, folder)
    rows = [{row.identity: row for row in read_rows(place)} for place in (folder / "scored", run)]
    assert set(rows[0]) == set(rows[1])
    return {
        "answers": len(rows[0]),
        "same answers": sum(row.response == rows[1][name].response for name, row in rows[0].items()),
        "different answers": sorted({row.response for row in rows[0].values()}),
        "rates": {
            name: {
                label: {rate: round(value.value, 4) for rate, value in figures.rates.items()}
                for label, figures in read_diagnosis(place).datasets["colours"].perturbations.items()
            }
            for name, place in (("lmms-eval", folder / "scored"), ("diagnosis", run))
        },
        "versions": versions(python),
    }


def versions(python: Path) -> dict[str, str]:
    """Those in the environment."""
    code = f"import json, importlib.metadata as m; print(json.dumps({{name: m.version(name) for name in {SHOWN}}}))"
    return json.loads(subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout)


def _run(command: list[str], **variables: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"} | variables
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(
            f"{command[:3]} ended with {process.returncode}:\n{process.stdout[-3000:]}{process.stderr[-6000:]}"
        )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    from helpers.tiny_models import build

    with TemporaryDirectory() as place:
        found = compare(build("qwen2_5_vl", Path(place) / "models"), Path(place))

    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
