"""The examples: every recipe parses as it is written and starts, on tiny models and data, through LLaMA-Factory's own entry."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.av_data import write_clips
from helpers.recipes import EXAMPLES, INDEX, ROOT, Recipe, ablation, published
from helpers.runs import write_pairs
from llamafactory.extras.constants import DEFAULT_TEMPLATE, SUPPORTED_MODELS
from llamafactory.hparams import get_train_args, read_args
from llamafactory.train.tuner import run_exp


TRAINING = [Recipe(path.stem, path) for path in sorted(EXAMPLES.glob("*_sft_*.yaml"))]
PREFERENCE = [Recipe(path.stem, path) for path in sorted(EXAMPLES.glob("*_dpo_*.yaml"))]
DIAGNOSIS = [Recipe(path.stem, path) for path in sorted(EXAMPLES.glob("*_diagnosis*.yaml"))]
ABLATION = ablation()
RECIPES = [*TRAINING, *DIAGNOSIS, *ABLATION]
FAMILIES = {
    "llava-hf/llava-1.5-7b-hf": "llava",
    "Salesforce/instructblip-vicuna-7b": "instructblip",
    "Qwen/Qwen2.5-VL-3B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3_vl",
    "Qwen/Qwen2.5-Omni-7B": "qwen2_5_omni",
}
# what a machine without a GPU, the models and the data needs; nothing else of a recipe is changed
OVERRIDDEN = {
    "model_name_or_path",
    "dataset_dir",
    "dataset",
    "eval_dataset",
    "output_dir",
    "deepspeed",
    "bf16",
    "preprocessing_num_workers",
    "dataloader_num_workers",
    "max_steps",
    "logging_steps",
    "use_cpu",
}
TINY_DATASETS = {  # by the kind of the recipe's datasets
    "pictures": ("mini_imagenet", "caltech101", "food101"),
    "sums": ("openbookqa", "mmlu", "arc_challenge"),
    "both": ("llava_instruct", "textcaps", "scienceqa", "mmbench", "seedbench"),
    "clips": ("mma_bench_alignment", "mma_bench_twins", "mma_bench_test"),
    "grounded": ("mma_bench_grounded",),
    "removed": ("mma_bench_test_removed",),
    "removed_abstention": ("mma_bench_test_removed_abstention",),
    "abstention": ("mma_bench_test_abstention",),
}
CONDITIONS = {  # that a diagnosis must report, by its data
    "modality_interference_eval": (
        "pictures_clean_accuracy",
        "pictures_misleading_text_accuracy",
        "sums_black_image_accuracy",
        "both_clean_accuracy",
    ),
    "mma_bench": (
        "clips_clean_accuracy",
        "clips_swapped_video_other_modality_rate",
        "clips_long_context_accuracy",
        "removed_clean_accuracy",
        "removed_abstention_clean_abstention_rate",
        "abstention_clean_false_abstention_rate",
    ),
}


def read(name: str) -> dict[str, Any]:
    return Recipe(name, EXAMPLES / f"{name}.yaml").keys


def tiny_datasets(names: str) -> str:
    """The small datasets of the same kinds, in the same order."""
    kinds = [
        max(
            (prefix, kind)
            for kind, prefixes in TINY_DATASETS.items()
            for prefix in prefixes
            if name.startswith(prefix)
        )[1]
        for name in names.split(",")
    ]
    return ",".join(dict.fromkeys(kinds))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset_dir with clips."""
    removed, offered = {"drop_asked_modality": True}, {"abstention": "None of the above"}
    forms = {"removed": removed, "removed_abstention": removed | offered, "abstention": offered}
    gone = {"counterfactuals": ["silence", "black_frames"]}
    forms["grounded"] = offered | gone | {"perturbations": ["swapped_audio", "swapped_video"]}
    entries = {name: {"twins": {"perturbations": []} | keys} for name, keys in forms.items()}
    return write_clips(tmp_path_factory.mktemp("clips"), **entries)


@pytest.fixture(scope="module")
def images(datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset_dir with images, whose `pictures` have counterfactual rows."""
    folder = Path(shutil.copytree(datasets, tmp_path_factory.mktemp("images"), dirs_exist_ok=True))
    info = json.loads((folder / "dataset_info.json").read_text())
    info["pictures"]["twins"]["counterfactuals"] = ["black_image", "random_pixels"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture
def command(
    checkpoint: Callable[[str], Path], images: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Recipe], None]:
    """Puts the command line of a recipe, with what it overrides, in place of this process's; its output is `out`."""

    def put(recipe: Recipe) -> None:
        monkeypatch.setattr(
            sys, "argv", words(recipe, checkpoint, clips if about_clips(recipe) else images, tmp_path / "out")
        )

    return put


def about_clips(recipe: Recipe) -> bool:
    return recipe.keys["dataset_dir"] == "data_recipes/mma_bench"


def words(recipe: Recipe, checkpoint: Callable[[str], Path], datasets: Path, output_dir: Path) -> list[str]:
    """The command line of a recipe with what this machine needs."""
    keys = recipe.keys
    overrides = {
        "model_name_or_path": checkpoint(FAMILIES[keys["model_name_or_path"]]),
        "dataset_dir": datasets,
        "output_dir": output_dir,
        "bf16": "false",
        "use_cpu": "true",
        "preprocessing_num_workers": "null",
        "dataloader_num_workers": 0,
    }
    overrides |= {key: f'"{tiny_datasets(keys[key])}"' for key in ("dataset", "eval_dataset") if key in keys}
    overrides |= {"max_steps": 1, "logging_steps": 1} if keys["do_train"] else {}
    overrides |= {"deepspeed": "null"} if "deepspeed" in keys else {}
    assert overrides.keys() <= OVERRIDDEN
    own = (f"{key}={value}" for key, value in overrides.items())
    return ["llamafactory-cli", str(recipe.path), *recipe.overrides, *own]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_parses(recipe: Recipe, command: Callable[[Recipe], None]):
    command(recipe)
    arguments = get_train_args(read_args())
    for key, written in recipe.keys.items():
        if key in OVERRIDDEN:
            continue

        parsed = [getattr(owner, key) for owner in arguments if hasattr(owner, key)]
        assert parsed, key
        assert any(same(value, written) for value in parsed), (key, parsed, written)


def same(parsed: Any, written: Any) -> bool:
    """Whether a parsed value is the written one: LLaMA-Factory splits lists, and takes `none` to mean no tracker."""
    if isinstance(parsed, list):
        return [str(item) for item in parsed] == [item.strip() for item in str(written).split(",")] or (
            written == "none" and parsed == []
        )

    return parsed == written or str(parsed) == str(written)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", TRAINING + ABLATION, ids=str)
@pytest.mark.usefixtures("unpacked_4bit_weights")
def test_training_starts(recipe: Recipe, command: Callable[[Recipe], None], tmp_path: Path):
    command(recipe)
    run_exp()
    keys, log = recipe.keys, json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"]
    figures = {figure for entry in log for figure in entry}
    assert "loss_sft" in figures
    assert ("loss_consistency" in figures) == (keys["consistency_method"] != "none")
    assert ("loss_adversarial" in figures) == (keys["adversarial_method"] != "none")
    assert ("loss_alignment" in figures) == (keys.get("alignment_weight", 0) > 0)
    assert ("loss_counterfactual" in figures) == (keys.get("counterfactual_weight", 0) > 0)
    saved = "adapter_model.safetensors" if keys["finetuning_type"] == "lora" else "model.safetensors"
    assert (tmp_path / "out" / saved).exists()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", PREFERENCE, ids=str)
def test_preference_tuning_starts(recipe: Recipe, checkpoint: Callable[[str], Path], tmp_path: Path):
    data, out = write_pairs(tmp_path / "data"), tmp_path / "out"
    own = {
        "model_name_or_path": str(checkpoint(FAMILIES[recipe.keys["model_name_or_path"]])),
        "dataset_dir": str(data),
        "media_dir": str(data),
        "dataset": "cards",
        "output_dir": str(out),
        "bf16": False,
        "use_cpu": True,
        "preprocessing_num_workers": None,
        "dataloader_num_workers": 0,
        "max_steps": 1,
        "logging_steps": 1,
    }
    assert own.keys() <= OVERRIDDEN | {"media_dir"}
    run_exp(recipe.keys | own)
    log = json.loads((out / "trainer_state.json").read_text())["log_history"]
    assert {"loss_preference", "loss_consistency", "loss_preference_counterfactual"} <= {
        name for e in log for name in e
    }
    assert (out / "adapter_model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", DIAGNOSIS, ids=str)
def test_diagnosis_starts(recipe: Recipe, command: Callable[[Recipe], None], tmp_path: Path):
    command(recipe)
    run_exp()
    results = json.loads((tmp_path / "out" / "eval_results.json").read_text())
    for figure in CONDITIONS[Path(recipe.keys["dataset_dir"]).name]:
        assert 0 <= results[f"eval_{figure}"] <= 1

    found = json.loads((tmp_path / "out" / "interference.json").read_text())
    assert (found["attention"] is not None) == recipe.keys.get("attention_probe", False)


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_template_is_llama_factorys_for_the_model(recipe: Recipe):
    keys = recipe.keys
    if keys["template"] == "instructblip":  # which LLaMA-Factory does not have
        return

    (model,) = [model for model, sources in SUPPORTED_MODELS.items() if keys["model_name_or_path"] in sources.values()]
    assert keys["template"] == DEFAULT_TEMPLATE[model]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_data_comes_from_a_recipe_of_this_repository(recipe: Recipe):
    keys = recipe.keys
    known = json.loads((ROOT / keys["dataset_dir"] / "dataset_info.json").read_text(encoding="utf-8"))
    used = keys.get("dataset") or keys["eval_dataset"]
    assert set(used.split(",")) <= set(known)
    if keys["do_train"]:
        mix = {kind: int(count) for kind, count in re.findall(r"(\w+)=(\d+)", keys["batch_mix"])}
        assert sum(mix.values()) == keys["per_device_train_batch_size"]
        expected = {"video": 2, "audio": 2} if about_clips(recipe) else {"image": 2, "text": 2, "both": 4}
        expected = {"image": 1, "text": 1, "both": 2} if "quantization_bit" in keys else expected
        assert mix == ({"both": 8} if recipe.name == "vqa_only" else expected)
    else:
        assert used.split(",") == [name for name in known if not about_clips(recipe) or "_test" in name]


def test_names_are_unique_and_outputs_too():
    outputs = [recipe.keys["output_dir"] for recipe in RECIPES]
    assert len(outputs) == len(set(outputs))
    assert {recipe.name for recipe in TRAINING} == {
        f"{model}_{kind}_sft_interference"
        for model in ("llava1_5", "qwen2_5vl_3b", "qwen2_5vl", "qwen3vl")
        for kind in ("full", "lora")
    } | {
        "instructblip_full_sft_interference",
        "qwen2_5vl_qlora_sft_interference",
        "qwen3vl_qlora_sft_interference",
    } | {
        "qwen2_5omni_lora_sft_alignment",
        "qwen2_5omni_lora_sft_interference",
    } | {f"{model}_lora_sft_grounded" for model in ("qwen2_5vl", "qwen3vl", "qwen2_5omni")}


@pytest.mark.parametrize("recipe", TRAINING, ids=str)
def test_deepspeed_is_zero_3_where_all_weights_train(recipe: Recipe):
    keys = recipe.keys
    if keys["finetuning_type"] == "lora":
        assert "deepspeed" not in keys  # ZeRO-3 with LoRA fails in stock LLaMA-Factory too
    else:
        config = json.loads((ROOT / keys["deepspeed"]).read_text())
        assert config["zero_optimization"]["stage"] == 3
        assert config["bf16"] == {"enabled": "auto"}


# the ablation

ABLATED = {
    "vqa_only": {
        "dataset": "llava_instruct_665k,textcaps",
        "batch_mix": "both=8",
        "consistency_method": "none",
        "adversarial_method": "none",
    },
    "augmentation": {"consistency_method": "none", "adversarial_method": "none"},
    "kl": {"adversarial_method": "none"},
    "js": {"consistency_method": "js", "adversarial_method": "none"},
    "gaussian": {"consistency_method": "none", "adversarial_method": "gaussian", "adversarial_epsilon": 0.05},
    "pgd": {"consistency_method": "none"},
    "all": {},
}


def test_runs_of_the_ablation_differ_in_the_ablated_keys_only():
    assert {recipe.name for recipe in ABLATION} == set(ABLATED)
    base = read("ablation")
    for recipe in ABLATION:
        assert recipe.keys == base | {"output_dir": f"saves/ablation/{recipe.name}"} | ABLATED[recipe.name]


# of the paper's `configs/model_train`: consistency, its weight, attack, steps, radius, mix (image:text:both), learning rate
PUBLISHED = {
    "qwen2.5-vl-7b/args_full_KL_PGD": ("KL", 0.01, "PGD", 2, 0.001, "2:2:4", 1e-5),
    "qwen2.5-vl-7b/args_full_JS_PGD": ("JS", 0.001, "PGD", 1, 0.001, "1:1:6", 1e-5),
    "qwen2.5-vl-7b/only_consistency/args_JS_full": ("JS", 0.01, None, None, None, "2:2:4", 1e-5),
    "qwen2.5-vl-7b/only_consistency/args_KL_full": ("KL", 0.01, None, None, None, "1:1:6", 1e-5),
    "qwen2.5-vl-7b/only_adversarial/args_full_PGD": (None, None, "PGD", 1, 0.001, "2:2:2", 1e-5),
    "qwen2.5-vl-7b/only_adversarial/args_full_RG": (None, None, "RG", None, 0.05, "1:1:6", 2e-5),
    "qwen2.5-vl-7b/vinilla/args_full": (None, None, None, None, None, "1:1:6", 1e-5),
    "qwen2.5-vl-3b/args_full_KL_PGD": ("KL", 0.001, "PGD", 2, 0.01, "2:2:4", 1e-5),
    "qwen2.5-vl-3b/only_consistency/args_JS_full": ("JS", 0.01, None, None, None, "2:2:4", 1e-5),
    "qwen2.5-vl-3b/only_adversarial/args_full_PGD": (None, None, "PGD", 1, 0.01, "2:2:4", 1e-5),
    "llava-v1.5-7b/args_full_KL_PGD": ("KL", 0.01, "PGD", 2, 0.001, "2:2:4", 2e-5),
    "llava-v1.5-7b/only_consistency/args_KL_full": ("KL", 0.01, None, None, None, "2:2:4", 2e-5),
}
METHODS = {"KL": "reverse_kl", "JS": "js", "PGD": "pgd", "RG": "gaussian", None: "none"}


def test_published_configurations_are_recipes():
    found = {recipe.name: recipe.keys for recipe in published()}
    assert found.keys() == PUBLISHED.keys()
    for name, (consistency, weight, attack, steps, radius, mix, rate) in PUBLISHED.items():
        keys, kinds = found[name], zip(("image", "text", "both"), mix.split(":"))
        assert keys["consistency_method"] == METHODS[consistency]
        assert weight is None or keys["consistency_weight"] == weight
        assert keys["adversarial_method"] == METHODS[attack] and keys["adversarial_step_size"] == 0.1
        assert steps is None or keys["adversarial_steps"] == steps
        assert radius is None or keys["adversarial_epsilon"] == radius
        assert keys["batch_mix"] == ",".join(f"{kind}={count}" for kind, count in kinds)
        assert keys["per_device_train_batch_size"] == sum(map(int, mix.split(":")))
        assert float(keys["learning_rate"]) == rate


def test_the_ablations_base_is_the_full_recipe():
    full = read("qwen2_5vl_full_sft_interference")
    base = read("ablation")
    assert full.pop("num_train_epochs") == 1.0
    assert base.pop("max_steps") == 2728 // 4
    del full["output_dir"], base["output_dir"]
    assert base == full


def test_the_index_lists_every_recipe():
    linked = set(re.findall(r"\]\(([\w/.-]+\.yaml)\)", INDEX))
    assert linked == {path.name for path in EXAMPLES.glob("*.yaml")}


# clips


def test_the_published_tuning():
    """LoRA of rank 8 on the query and value projections, 1e-4, 4 x 4 examples a step; no attack and no consistency."""
    keys = read("qwen2_5omni_lora_sft_alignment")
    published = {
        "finetuning_type": "lora",
        "lora_rank": 8,
        "lora_target": "q_proj,v_proj",
        "learning_rate": 1e-4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "consistency_method": "none",
        "adversarial_method": "none",
    }
    assert published.items() <= keys.items()
    assert "alignment_weight" not in keys


@pytest.mark.parametrize("model", ["qwen2_5vl", "qwen3vl", "qwen2_5omni"])
def test_grounded_tuning_differs_in_the_method_only(model: str):
    """And in the learning rate, where the other recipe has the paper's."""
    grounded, other = read(f"{model}_lora_sft_grounded"), read(f"{model}_lora_sft_interference")
    changed = {key for key in grounded | other if grounded.get(key) != other.get(key)}
    known = {"learning_rate", "dataset", "output_dir", "twins_per_example"}
    assert {
        key for key in changed if not key.startswith(("consistency_", "adversarial_", "alignment_", "counterfactual_"))
    } <= known
    assert grounded["counterfactual_method"] == ("abstain" if model == "qwen2_5omni" else "contrast")
    info = json.loads((ROOT / grounded["dataset_dir"] / "dataset_info.json").read_text(encoding="utf-8"))
    gone = [info[name]["twins"].get("counterfactuals") for name in grounded["dataset"].split(",")]
    assert any(gone) and (model != "qwen2_5omni" or info[grounded["dataset"]]["twins"]["abstention"])


def test_the_tuning_with_everything_differs_in_the_method_only():
    plain = read("qwen2_5omni_lora_sft_alignment")
    everything = read("qwen2_5omni_lora_sft_interference")
    changed = {key for key in plain | everything if plain.get(key) != everything.get(key)}
    method = {"twins_per_example", "alignment_weight", "alignment_layers"}
    method |= {key for key in everything if key.startswith("consistency_")}
    assert changed == method | {"dataset", "output_dir"}
