"""InstructBLIP, which LLaMA-Factory does not have: its template, its mm_plugin, and which of its modules are the vision tower.

Its Q-Former reads the prompt together with the image, so an image's features depend on the prompt. LLaMA-Factory's own collator
would give it the answers as well: so the template is there in runs with the plugin only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from llamafactory.data.formatter import EmptyFormatter, StringFormatter
from llamafactory.data.mm_plugin import PaliGemmaPlugin
from llamafactory.data.template import TEMPLATES, Template, register_template
from llamafactory.model.model_utils.visual import CompositeModel
from torch import Tensor

from ..modality import IGNORE_LABEL


NAME = "instructblip"
LONGEST_PROMPT = 512  # positions of the Q-Former
MODULES = CompositeModel(
    model_type=NAME,
    projector_keys=["language_projection"],
    vision_model_keys=["vision_model", "qformer", "query_tokens"],
    language_model_keys=["language_model"],
    lora_conflict_keys=[],
)


class InstructBlipPlugin(PaliGemmaPlugin):
    """Puts the image's tokens before all others, as transformers' processor does, and gives the Q-Former the prompts.

    Attributes:
        reads_prompts: the collator then gives `get_mm_inputs` prompts, and shares no image between rows.
    """

    reads_prompts = True

    def process_token_ids(
        self,
        input_ids: list[int],
        labels: list[int] | None,
        images: Sequence[Any],
        videos: Sequence[Any],
        audios: Sequence[Any],
        tokenizer: Any,
        processor: Any,
    ) -> tuple[list[int], list[int] | None]:
        """Put the tokens of all images before a row's."""
        self._validate_input(processor, images, videos, audios)
        number = len(images) * (processor.num_query_tokens if self.expand_mm_tokens else 0)
        input_ids = [tokenizer.convert_tokens_to_ids(self.image_token)] * number + input_ids
        return input_ids, labels if labels is None else [IGNORE_LABEL] * number + labels

    def get_mm_inputs(
        self,
        images: Sequence[Any],
        videos: Sequence[Any],
        audios: Sequence[Any],
        imglens: Sequence[int],
        vidlens: Sequence[int],
        audlens: Sequence[int],
        batch_ids: Sequence[Sequence[int]],
        processor: Any,
    ) -> dict[str, Tensor]:
        """Pixels, and for each image the prompt of its row in the Q-Former's tokens: (images, tokens), cut off at its end.

        Args:
            images: of all rows, or one that LLaMA-Factory adds where there is none.
            videos: none.
            audios: none.
            imglens: images of each row.
            vidlens: not used.
            audlens: not used.
            batch_ids: the token ids of each row's prompt.
            processor: transformers' InstructBlipProcessor.
        """
        self._validate_input(processor, images, videos, audios)
        rows = [row for row, number in enumerate(imglens) for _ in range(number)]
        rows += [0] * (len(images) - len(rows))
        prompts = [processor.tokenizer.decode(batch_ids[row], skip_special_tokens=True).strip() for row in rows]
        read = processor.qformer_tokenizer(
            prompts, padding=True, truncation=True, max_length=LONGEST_PROMPT, return_tensors="pt"
        )
        return {
            **self._get_mm_inputs(images, videos, audios, processor),
            "qformer_input_ids": read["input_ids"],
            "qformer_attention_mask": read["attention_mask"],
        }


def with_template(stock: Mapping[str, Template]) -> dict[str, Template]:
    """LLaMA-Factory's templates and InstructBLIP's: the prompt as it is, then the answer.

    Args:
        stock: `llamafactory.data.template.TEMPLATES`, which is not changed.
    """
    register_template(
        NAME,
        format_user=StringFormatter(slots=["{{content}}"]),
        format_prefix=EmptyFormatter(slots=[{"bos_token"}]),
        mm_plugin=InstructBlipPlugin(image_token="<image>", video_token=None, audio_token=None),
    )
    return {**stock, NAME: TEMPLATES.pop(NAME)}


def with_modules(stock: Mapping[str, CompositeModel]) -> dict[str, CompositeModel]:
    """LLaMA-Factory's table of the modules of multimodal models, and InstructBLIP's."""
    return {**stock, NAME: MODULES}
