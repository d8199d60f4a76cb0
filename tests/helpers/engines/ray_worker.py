"""LLaMA-Factory's Ray worker, training several recipes: its own trains one and would be started for each anew."""

import gc
from typing import Any

from llamafactory.train.tuner import Worker

from helpers.engines.poison import Poison
from helpers.engines.probe import WrapperProbe


class RecipesInTurn(Worker):
    """Takes the recipes from the key `recipes`."""

    def _training_function(self, config: dict[str, Any]) -> None:
        for recipe in config["args"]["recipes"]:
            super()._training_function({"args": recipe, "callbacks": [WrapperProbe(), Poison()]})
            gc.collect()
