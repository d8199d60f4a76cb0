"""Hand-made diagnoses for the tests of reports."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from modality_interference.results import DatasetResult, Diagnosis, Flip, PerturbationResult, Rate, ScoredRow


def rate(value: float, width: float = 0.05) -> Rate:
    """A rate with an interval of that half-width, cut off at 0 and 1."""
    return Rate(value=value, low=max(0.0, value - width), high=min(1.0, value + width))


def result(rows: int = 100, **values: float) -> PerturbationResult:
    """Figures by rate name."""
    return PerturbationResult(rows=rows, rates={name: rate(value) for name, value in values.items()})


def diagnosis(
    datasets: Mapping[str, Mapping[str, PerturbationResult]] | None = None, gallery: Sequence[Flip] = (), **keys: Any
) -> Diagnosis:
    """A diagnosis with these figures; unset: three datasets, one of them with clean rows only."""
    if datasets is None:
        datasets = {
            "pictures": {
                "clean": result(accuracy=0.97),
                "misleading_text": result(accuracy=0.16, flip_rate=0.84, causal_effect=0.7, misled_rate=0.79),
                "unrelated_text": result(accuracy=0.8, flip_rate=0.19, causal_effect=0.15),
            },
            "sums": {
                "clean": result(accuracy=0.98),
                "black_image": result(accuracy=0.79, flip_rate=0.2, causal_effect=0.16),
                "random_pixels": result(accuracy=0.28, flip_rate=0.71, causal_effect=0.6),
            },
            "both": {"clean": result(accuracy=0.94)},
        }

    found = {
        name: DatasetResult(examples=100, kind="image", perturbations=_beside_clean(results))
        for name, results in datasets.items()
    }
    defaults = {
        "created": "2026-01-12T10:31:07Z",
        "model": {"name_or_path": "models/base", "adapter_name_or_path": None, "template": "qwen2_vl"},
        "data": {"dataset_dir": "data", "eval_dataset": ["pictures", "sums", "both"]},
        "run": {"output_dir": "saves/base", "step": 0},
        "versions": {"llamafactory": "0.9.5"},
        "seed": 7,
        "scoring": "likelihood",
        "resamples": 2000,
    }
    return Diagnosis(**{**defaults, **keys}, datasets=found, gallery=list(gallery))


def _beside_clean(results: Mapping[str, PerturbationResult]) -> dict[str, PerturbationResult]:
    """All rows have all twins: their own clean accuracy is that of the dataset; four options each."""
    accuracy = results["clean"].rates.get("accuracy") if "clean" in results else None
    return {
        name: figures.model_copy(
            update={
                "chance": 0.25,
                "clean": figures.clean or ({"accuracy": accuracy} if accuracy and name != "clean" else {}),
            }
        )
        for name, figures in results.items()
    }


def flip(**keys: Any) -> Flip:
    """A flip that a misleading sentence caused."""
    defaults = {
        "dataset": "pictures",
        "row": 3,
        "perturbation": "misleading_text",
        "prompt": "<image>Which animal is shown?",
        "perturbed_prompt": "<image>This picture seems to depict a dog.\nWhich animal is shown?",
        "images": [image_uri("red")],
        "perturbed_images": [image_uri("red")],
        "right_answer": "cat",
        "clean_answer": "cat",
        "perturbed_answer": "dog",
        "target": "dog",
        "causal_effect": 0.9,
    }
    return Flip(**{**defaults, **keys})


def image_uri(colour: str) -> str:
    """A small PNG."""
    stream = BytesIO()
    Image.new("RGB", (16, 16), colour).save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def scored(
    dataset: str = "pictures", perturbation: str = "clean", correct: Sequence[bool] = (), **columns: Sequence[Any]
) -> list[ScoredRow]:
    """One row per value of `correct`; other columns by name, row by row."""
    defaults = {"kind": "image", "answer": "a"}
    return [
        ScoredRow(
            **{
                **defaults,
                "row": index,
                "key": 1000 + index,
                **{name: values[index] for name, values in columns.items()},
                "dataset": dataset,
                "perturbation": perturbation,
                "correct": right,
            }
        )
        for index, right in enumerate(correct)
    ]
