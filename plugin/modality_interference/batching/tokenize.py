"""Tokenize aligned rows and their twins; drop what cannot be trained on, with a reason."""

import os
import re
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from llamafactory.data.data_utils import Role
from llamafactory.data.processor import SupervisedDatasetProcessor

from .. import __version__
from ..data.instructions import with_instruction
from ..data.records import LAYOUT, Reason, TwinRecord
from ..data.sample import PLACEHOLDERS, Message, References
from ..errors import ModalityInterferenceError, Unusable
from ..media.image import image_name, image_remark, load_image
from ..media.reference import UnreadMedium, find_medium
from ..messages import listed
from ..modality import IGNORE_LABEL, MEDIA, Modality
from ..printable import printable_stdout
from .example import TokenizedExample, TokenizedRow
from .media_reader import MediaReader, remembered
from .questions import OptionEncoder, last_turn_start
from .templates import TEMPLATES
from .tokens import modality_tokens


TokensOfMedia = dict[Modality, list[tuple[int, int]]]  # each medium's token, and how often it is in the row
REMEMBERED = 4096  # sizes of images and system prompts, which rows share
REMEMBERED_CLIPS = 8  # a clip's questions come one after the other, and its twins bring a few more


@dataclass
class TwinProcessor(SupervisedDatasetProcessor):
    """LLaMA-Factory's processor for SFT, for rows with twins.

    An example is one dataset row: the clean row in LLaMA-Factory's own columns, its twins in `variants`. So `val_size`,
    `max_samples`, shuffling and mixing act on whole examples, and an example's twins are always in its batch.
    """

    # in the fingerprint of cached datasets: a new release, or another layout of the columns, tokenizes anew
    version: tuple[str, int] = field(default=(__version__, LAYOUT), init=False)
    instruction: str = "none"  # `diagnosis_prompt`, where the rows are for evaluation
    counterfactuals: bool = False  # whether to tokenize them: for a diagnosis, or a training on them
    _tokens_of: OrderedDict = field(default_factory=OrderedDict, repr=False)
    _openings: OrderedDict = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        self.media_tokens = modality_tokens(self.tokenizer, self.processor, self.template).media
        self._reader = MediaReader(self.template.mm_plugin, REMEMBERED_CLIPS, mm_inputs=True)
        self._options = OptionEncoder(self._encode_answer)

    def preprocess_dataset(self, examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Tokenize a batch of aligned rows. No row is lost here: bad ones carry the reason in `dropped`."""
        outputs: dict[str, list[Any]] = defaultdict(list)
        for index in range(len(examples["_prompt"])):
            row = {key: values[index] for key, values in examples.items()}
            for key, value in self._example(row).to_arrow().items():
                outputs[key].append(value)

        return outputs

    def _example(self, row: dict[str, Any]) -> TokenizedExample:
        record = TwinRecord.from_arrow(row["_twins"])
        example = TokenizedExample.of_record(record, row, replace(TokenizedRow.empty(), references=record.media))
        images = [_as_dict(image) for image in example.media[Modality.IMAGE]]
        example = replace(example, media={**example.media, Modality.IMAGE: images})
        if record.dropped is not None:
            return example

        try:
            return self._filled(example, row, record)
        except Unusable as error:
            return replace(example, dropped=Reason.of(error))

    def _filled(self, example: TokenizedExample, row: dict[str, Any], record: TwinRecord) -> TokenizedExample:
        """The example with its clean row, options and twins.

        Raises:
            Unusable: the clean row or its options cannot be tokenized.
        """
        loaded: dict[tuple[Modality, str], Any] = {}  # by reference: a clean row and its twins share most
        clean = self._encode(row, self._asked(row["_prompt"], record), row["_system"], record.media, loaded)
        answer = _answer(clean.labels)
        option_ids: list[list[int]] = []
        option_lengths: list[int] = []
        if record.choices and record.answer is not None:
            response, last_turn = row["_response"][0]["content"], clean.labels[last_turn_start(clean.labels) :]
            choices = list(record.choices)
            option_ids, option_lengths = self._options.options(choices, record.answer, response, last_turn)

        claimed = self._claimed_answers(record, row["_response"], clean.labels)
        made: dict[str, list[TokenizedRow]] = {"twin": [], "row": []}
        dropped = []
        wanted = [("twin", variant) for variant in record.variants]
        wanted += [("row", variant) for variant in record.counterfactuals if self.counterfactuals]
        for what, variant in wanted:
            try:
                twin = self._encode(row, self._asked(variant.prompt, record), variant.system, variant.media, loaded)
                self._compare(twin, clean, answer)
            except Unusable as error:
                dropped.append(Reason.of(error, f"{variant.perturbation} {what}, "))
            else:
                made[what].append(
                    replace(
                        twin,
                        perturbation=variant.perturbation,
                        target=variant.target,
                        family=variant.family,
                        claimed_ids=claimed.get(variant.target or "", ()),
                    )
                )

        clean = replace(clean, target=record.target)
        example = replace(example, clean=clean, option_ids=option_ids, option_lengths=option_lengths)
        example = replace(example, variants=made["twin"], counterfactuals=made["row"])
        return replace(example, dropped_twins=dropped, remarks=_remarks(row, loaded))

    def _asked(self, prompt: list[Message], record: TwinRecord) -> list[Message]:
        return with_instruction(prompt, self.instruction, record.relevant)

    def _claimed_answers(self, record: TwinRecord, response: list[Message], labels: list[int]) -> dict[str, list[int]]:
        """The label ids of the wrong answers that twins of a row without options claim, by their text.

        Empty where the template writes the right answer in another way than it writes an answer alone.
        """
        targets = {variant.target for variant in record.variants if variant.target is not None}
        right = response[0]["content"]
        if record.choices or not targets or self._options.answer(right) != labels[last_turn_start(labels) :]:
            return {}

        return {target: self._options.answer(target) for target in targets}

    def _compare(self, twin: TokenizedRow, clean: TokenizedRow, answer: list[int]) -> None:
        """Refuse a twin of which `cutoff_len` has cut off more than of its clean row, or all that is perturbed."""
        limit = self.data_args.cutoff_len
        if _answer(twin.labels) != answer:
            raise Unusable("answer truncated by cutoff_len", f"{limit} tokens are too few for the twin")

        # LLaMA-Factory cuts a prompt's end, the question and the assistant's header
        if len(twin.input_ids) >= limit > len(clean.input_ids):
            raise Unusable("prompt truncated by cutoff_len", f"{limit} tokens are too few for the twin")

        # of several turns, it cuts off the last ones
        same = twin.references == clean.references and _up_to_answer(twin) == _up_to_answer(clean)
        if same and len(twin.input_ids) >= limit:
            raise Unusable("perturbed turn truncated by cutoff_len", f"{limit} tokens are too few for the twin")

    def _encode_answer(self, text: str) -> list[int]:
        """The label ids of an answer."""
        prompt, response = [{"role": "user", "content": "?"}], [{"role": "assistant", "content": text}]
        return _answer(self._encode_data_example(prompt, response, None, None, [], [], [])[1])

    def _encode(
        self,
        row: dict[str, Any],
        prompt: list[Message],
        system: str | None,
        references: References,
        loaded: dict[tuple[Modality, str], Any],
    ) -> TokenizedRow:
        response = row["_response"]
        if len(prompt) % 2 != 1 or len(response) != 1:
            raise Unusable("no assistant turn", "an example needs user and assistant turns in alternation")

        for modality, names in references.items():
            for name in names:
                if (modality, name) not in loaded:
                    loaded[modality, name] = _load(modality, name, row)

        media = {modality: [loaded[modality, name] for name in names] for modality, names in references.items()}
        self._check_accepted(media, row)
        try:
            with self._reader.installed():
                input_ids, labels = self._tokenize(prompt, response, system, row["_tools"], media)
                tokens = {
                    modality: [self._tokens_of_medium(modality, item) for item in media[modality]]
                    for modality in MEDIA
                }
        except Unusable as error:
            raise _named(error, row, loaded) from error

        runs = _media_runs([*prompt, *response], tokens, input_ids)
        self._check_truncation(labels, tokens, runs)
        prompt_start = self._prompt_start(prompt[0]["content"], system, row["_tools"], input_ids)
        counts = {modality: [count for _, count in items] for modality, items in tokens.items()}
        return TokenizedRow(input_ids, labels, prompt_start, references, counts, runs)

    def _check_accepted(self, media: dict[Modality, list[Any]], row: dict[str, Any]) -> None:
        """Refuse a recipe whose template or model takes no such media, or not with the plugin: a fault of all rows, not of this one.

        Raises:
            ModalityInterferenceError: naming the row, the template and what LLaMA-Factory says.
        """
        support = TEMPLATES.get(str(self.data_args.template))
        for modality, why in support.refused_media.items() if support is not None else ():
            if media[modality]:
                record = TwinRecord.from_arrow(row["_twins"])
                raise ModalityInterferenceError(
                    f"Dataset {record.dataset}, row {record.data_row} has {modality}, which cannot be used with "
                    f"`template: {self.data_args.template}`: {why}. Remove the dataset from the recipe, or take another model "
                    "(docs/compatibility.md)."
                )

        try:
            self.template.mm_plugin._validate_input(self.processor, *media.values())
        except ValueError as error:
            record = TwinRecord.from_arrow(row["_twins"])
            kinds = listed([modality.value for modality, items in media.items() if items])
            raise ModalityInterferenceError(
                f"Dataset {record.dataset}, row {record.data_row} has {kinds}, which `template: {self.data_args.template}` "
                f"or the processor of the model does not take. LLaMA-Factory says: {error} Name the model's own template, "
                "and check that its folder holds the processor's files."
            ) from error

    def _prompt_start(self, content: str, system: str | None, tools: str | None, input_ids: list[int]) -> int:
        """How many tokens come before the first turn: those of the system prompt and the user's header.

        Args:
            content: the first turn's text.
            system: the system prompt, None for the template's.
            tools: what the template shows of tools, as JSON.
            input_ids: of the row.
        """
        if content.startswith(tuple(PLACEHOLDERS.values())):  # families put whitespace before a medium, too
            media = set(self.media_tokens.values())
            return next((index for index, token in enumerate(input_ids) if token in media), 0)

        opening = remembered(self._openings, REMEMBERED, (system, tools), lambda: self._opening(system, tools))
        return len(os.path.commonprefix([opening, input_ids]))

    def _opening(self, system: str | None, tools: str | None) -> list[int]:
        """The tokens before the first turn's text."""
        # a token that is never merged with its neighbours
        marker = next(iter(self.media_tokens.values()), self.tokenizer.eos_token_id)
        turns = [self.tokenizer.convert_ids_to_tokens(marker), ""]
        messages = [{"role": role, "content": turn} for role, turn in zip(("user", "assistant"), turns)]
        ids, _ = self.template.encode_oneturn(self.tokenizer, messages, system, tools)
        return ids[: ids.index(marker)]

    def _tokenize(
        self,
        prompt: list[dict[str, str]],
        response: list[dict[str, str]],
        system: str | None,
        tools: str | None,
        media: dict[Modality, list[Any]],
    ) -> tuple[list[int], list[int]]:
        try:
            return self._encode_data_example(prompt, response, system, tools, *media.values())
        except Unusable:
            raise
        except ValueError as error:  # LLaMA-Factory's mm_plugin: placeholders and media do not match
            raise Unusable("media do not match the text", str(error)[:200]) from error
        except Exception as error:  # for clips with unknown faults, and for tools and calls that are not JSON
            clips = media[Modality.VIDEO] or media[Modality.AUDIO]
            if not clips and not tools and all(turn["role"] != Role.FUNCTION for turn in (*prompt, *response)):
                raise

            kind = "broken video or audio" if clips else "tools or function call not understood"
            raise Unusable(kind, f"{type(error).__name__}: {str(error)[:200]}") from error

    def _check_truncation(self, labels: list[int], tokens: TokensOfMedia, runs: list[tuple[int, int, int]]) -> None:
        limit = f"{self.data_args.cutoff_len} tokens are too few"
        if not _answer(labels):
            raise Unusable("answer truncated by cutoff_len", f"{limit} for this row")

        for modality, items in tokens.items():
            needed = sum(count for _, count in items)
            if sum(length for bit, _, length in runs if bit == modality.bit) < needed:
                raise Unusable(f"{modality} truncated by cutoff_len", f"{limit} for its {needed} {modality} tokens")

    def _tokens_of_medium(self, modality: Modality, medium: Any) -> tuple[int, int]:
        """The token that one medium becomes, and how often. For images, every mm_plugin decides by the size alone.

        So sizes are looked up.
        """
        key = (modality, repr((medium.source, medium.like)) if isinstance(medium, UnreadMedium) else medium.size)
        return remembered(self._tokens_of, REMEMBERED, key, lambda: self._tokens_alone(modality, medium))

    def _tokens_alone(self, modality: Modality, medium: Any) -> tuple[int, int]:
        message = [{"role": "user", "content": PLACEHOLDERS[modality]}]
        alone = [[medium] if kind is modality else [] for kind in MEDIA]
        mm_plugin = self.template.mm_plugin
        text = mm_plugin.process_messages(message, *alone, self.processor)[0]["content"]
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        ids, _ = mm_plugin.process_token_ids(ids, None, *alone, self.tokenizer, self.processor)
        own = self.media_tokens.get(modality, -1)
        token = next((token for token in (own, *self.media_tokens.values()) if token in ids), own)
        return token, ids.count(token)

    def print_data_example(self, example: dict[str, Any]) -> None:
        """Print the clean row as LLaMA-Factory does, then its twins' inputs."""
        with printable_stdout():
            super().print_data_example(example)
            for what, key in (("twin", "variants"), ("without its evidence", "counterfactuals")):
                for variant in example.get(key) or []:
                    text = self.tokenizer.decode(variant["input_ids"], skip_special_tokens=False)
                    print(f"{what} ({variant['perturbation']}):\n{text[:2000]}")


def _media_runs(turns: list[Message], tokens: TokensOfMedia, input_ids: list[int]) -> list[tuple[int, int, int]]:
    """`TokenizedRow.media_runs`: of one id, the tokens belong to its media in the order of the text.

    Args:
        turns: the text, with a placeholder for each medium.
        tokens: by modality, each medium's token and how often the row has it.
        input_ids: of the row, which may be cut off.
    """
    text = "\n".join(turn["content"] for turn in turns)
    media = {modality: iter(items) for modality, items in tokens.items()}
    makers: dict[int, list[int]] = defaultdict(list)  # by token, the modality bit of each of its occurrences
    for placeholder in re.findall("|".join(map(re.escape, PLACEHOLDERS.values())), text):
        modality = next(modality for modality, own in PLACEHOLDERS.items() if own == placeholder)
        token, count = next(media[modality], (-1, 0))
        makers[token] += [modality.bit] * count

    queues = {token: iter(bits) for token, bits in makers.items()}
    bits = [next(queues[token], 0) if token in queues else 0 for token in input_ids]
    runs, first = [], 0
    for bit, run in groupby(bits):
        length = len(list(run))
        if bit:
            runs.append((bit, first, length))

        first += length

    return runs


def _load(modality: Modality, reference: str, row: dict[str, Any]) -> Any:
    own, extra = row[f"_{MEDIA[modality]}"] or [], row.get(f"_twin_{MEDIA[modality]}") or []
    try:
        return (load_image if modality is Modality.IMAGE else find_medium)(reference, own, extra)
    except Unusable:
        raise
    except ModalityInterferenceError as error:  # an extension's perturbation has written it
        raise Unusable("media reference not understood", str(error)) from error


def _named(error: Unusable, row: dict[str, Any], loaded: dict[tuple[Modality, str], Any]) -> Unusable:
    """The error, which names the image that it is about where it knows the pixels only."""
    for (modality, reference), medium in loaded.items():
        if modality is Modality.IMAGE and medium is error.source:
            name = image_name(reference, row["_images"] or [], row.get("_twin_images") or [])
            return Unusable(error.kind, f"{name}: {error.detail}", medium)

    return error


def _remarks(row: dict[str, Any], loaded: dict[tuple[Modality, str], Any]) -> list[Reason]:
    images = {reference: image for (modality, reference), image in loaded.items() if modality is Modality.IMAGE}
    own, extra = row["_images"] or [], row.get("_twin_images") or []
    return [
        Reason.of(Unusable(kind, f"{image_name(reference, own, extra)}: {detail}"))
        for reference, image in images.items()
        for kind, detail in filter(None, [image_remark(image)])
    ]


def _as_dict(image: Any) -> Any:
    return {"bytes": None, "path": image} if isinstance(image, str) else image  # a stream may hold paths


def _answer(labels: list[int]) -> list[int]:
    return [label for label in labels if label != IGNORE_LABEL]


def _up_to_answer(row: TokenizedRow) -> list[int]:
    """The row's tokens up to its last label."""
    end = len(row.labels)
    while end > 0 and row.labels[end - 1] == IGNORE_LABEL:
        end -= 1

    return row.input_ids[:end]
