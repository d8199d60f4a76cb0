"""What is asked of a batch: the diagnosis's questions, the tokens that tell options apart, and the rows that bring further options."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..data.options import letter, letters
from ..media.reference import is_removed
from ..modality import IGNORE_LABEL, from_bits, kind_of
from .batch import Counterfactual, OptionTokens, Question, Role
from .example import TokenizedExample, TokenizedRow
from .media_reader import remembered


def last_turn_start(labels: list[int]) -> int:
    """Where the labels of the last turn start; earlier turns may have labels too."""
    start = len(labels)
    while start > 0 and labels[start - 1] != IGNORE_LABEL:
        start -= 1

    return start


def answer_start(labels: list[int], thought: Sequence[int]) -> int:
    """Where the last turn's answer starts: behind the thought that the template has written there, if it has.

    Args:
        labels: of a row.
        thought: the tokens that the template writes for a skipped thought.
    """
    start = last_turn_start(labels)
    end = start + len(thought)
    return end if thought and labels[start:end] == list(thought) else start


def common_beginning(options: Sequence[Sequence[int]]) -> int:
    """How many tokens all options begin with; at least one token is left of each.

    The likelihood of these tokens is the same for every option, so it changes no probability among them.
    """
    if not options:
        return 0

    shortest = min(map(len, options)) - 1
    return next((place for place, ids in enumerate(zip(*options)) if len(set(ids)) > 1 or place == shortest), 0)


def beginning(row: TokenizedRow, example: TokenizedExample, thought: Sequence[int]) -> int:
    """How many tokens of a row's answer, behind a skipped thought, all options begin with; 0 where the answer is free."""
    skipped = answer_start(row.labels, thought) - last_turn_start(row.labels)
    return max(common_beginning(example.option_ids) - skipped, 0)


def ask(
    rows: list[TokenizedRow], examples: list[TokenizedExample], twin_of: list[int], thought: Sequence[int] = ()
) -> list[Question]:
    """Make the questions of a batch; add rows for options that the batch's own rows do not show.

    Of options, the tokens that all begin with are left out: a template's empty thought, or "a " of "a cat" and "a dog". A row's
    logits tell the likelihood of the right option, whose tokens it holds, and of all options of which one token is left.
    Another option takes a row of its own, appended to all three lists; so do the wrong answer that a twin without options
    claims, and the same answer to its clean row.

    Args:
        rows: clean rows, each followed by its twins.
        examples: the example that each row belongs to.
        twin_of: the index of each row's clean row.
        thought: the tokens that the template writes for a skipped thought.

    Returns:
        a question for every row that was there before.
    """
    return [
        replace(
            question(index, rows[index], examples[index], twin_of[index]),
            beginning=_beginning(index, rows[index], examples[index], thought),
            options=_options(index, rows, examples, twin_of),
            claims=_claims(index, rows, examples, twin_of),
        )
        for index in range(len(rows))
    ]


def ask_counterfactuals(
    rows: list[TokenizedRow],
    examples: list[TokenizedExample],
    twin_of: list[int],
    roles: Sequence[Role],
    method: str,
) -> list[Counterfactual]:
    """What a training asks of the counterfactual rows of a batch; add rows for options that these do not show.

    Args:
        rows: see `ask`.
        examples: see `ask`.
        twin_of: see `ask`.
        roles: of the rows.
        method: `counterfactual_method`.
    """
    found = []
    for index, role in enumerate(roles):
        if role is Role.COUNTERFACTUAL:
            example = examples[index]
            options = tuple(
                _option(index, option, rows, examples, twin_of) for option in options_read(example, method) or ()
            )
            found.append(Counterfactual(index, twin_of[index], len(example.option_ids), options))

    return found


def options_read(example: TokenizedExample, method: str) -> Sequence[int] | None:
    """The options whose likelihood `counterfactual_method` reads; None where it gives the example's rows no term.

    Where the right answer is to abstain, it stays right without the evidence: `contrast` and `uniform` leave it alone.
    """
    offered = example.abstention in example.choices
    abstention = example.choices.index(str(example.abstention)) if offered else None
    if method == "abstain":
        return None if abstention is None or not example.option_ids else [abstention]

    if abstention is not None and abstention == example.answer:
        return None

    every = range(len(example.option_ids))
    return () if method == "contrast" else every if len(every) > 1 else None


def prompt_of(row: TokenizedRow) -> TokenizedRow:
    """A row without its answer, for generation."""
    return row.with_answer(last_turn_start(row.labels), [])


def question(
    index: int,
    row: TokenizedRow,
    example: TokenizedExample,
    clean: int,
    response: str = "",
) -> Question:
    """What the diagnosis knows of the batch's row `index`; see `Question`."""
    choices = example.choices
    return Question(
        dataset=example.dataset,
        row=example.row,
        key=example.key,
        kind=kind_of(example.relevant),
        perturbation=row.perturbation,
        batch_row=index,
        clean=clean,
        choices=choices,
        answer=example.answer,
        target=choices.index(row.target) if row.target in choices else None,
        claimed=None if choices else row.target,
        family=row.family,
        option_lengths=tuple(example.option_lengths),
        response=response,
        clip=example.clip,
        abstention=example.abstention,
        removed=_is_removed(row, example),
        medium=example.medium,
    )


def _beginning(
    index: int, row: TokenizedRow, example: TokenizedExample, thought: Sequence[int]
) -> OptionTokens | None:
    count = beginning(row, example, thought)
    if not count:
        return None

    start = answer_start(row.labels, thought)
    return OptionTokens(index, _labels_before(row, start), tuple(row.labels[start : start + count]))


def _labels_before(row: TokenizedRow, start: int) -> int:
    """How many labels a row has before a token: those of earlier turns, and of the answer's own beginning."""
    return sum(label != IGNORE_LABEL for label in row.labels[:start])


def _is_removed(row: TokenizedRow, example: TokenizedExample) -> bool:
    """Whether black frames or silence are in place of a modality that the answer depends on."""
    references = row.references or {}
    names = (name for modality in from_bits(example.relevant) for name in references.get(modality, ()))
    return any(map(is_removed, names))


def _claims(
    index: int, rows: list[TokenizedRow], examples: list[TokenizedExample], twin_of: list[int]
) -> tuple[OptionTokens, ...]:
    """Of a twin and its clean row the right answer and the one that the twin claims; see `Question.claims`."""
    claimed = tuple(rows[index].claimed_ids)
    if not claimed or examples[index].option_ids:
        return ()

    found = []
    for asked in (index, twin_of[index]):
        row = rows[asked]
        start = last_turn_start(row.labels)
        right = OptionTokens(asked, _labels_before(row, start), tuple(row.labels[start:]))
        found += [right, OptionTokens(len(rows), 0, claimed)]
        rows.append(row.with_answer(start, claimed))
        examples.append(examples[asked])
        twin_of.append(twin_of[asked])

    return tuple(found)


def _options(
    index: int, rows: list[TokenizedRow], examples: list[TokenizedExample], twin_of: list[int]
) -> tuple[OptionTokens, ...]:
    every = range(len(examples[index].option_ids))
    return tuple(_option(index, option, rows, examples, twin_of) for option in every)


def _option(
    index: int, option: int, rows: list[TokenizedRow], examples: list[TokenizedExample], twin_of: list[int]
) -> OptionTokens:
    """Where one option of a row is scored: in the row itself, or in one that is appended."""
    row, example, common = rows[index], examples[index], common_beginning(examples[index].option_ids)
    start = last_turn_start(row.labels) + common
    tokens = tuple(example.option_ids[option][common:])
    if option == example.answer or len(tokens) == 1:
        return OptionTokens(index, _labels_before(row, start), tokens)

    rows.append(row.with_answer(start, tokens))
    examples.append(example)
    twin_of.append(twin_of[index])
    return OptionTokens(len(rows) - 1, 0, tokens)


_REMEMBERED = 4096  # options: rows share classes and letters, or nothing
_PROBES = ("A", "B")  # answers that differ in everything but the turn's end


@dataclass
class OptionEncoder:
    """Tokenizes options as the template writes an answer.

    Attributes:
        encode: from an answer's text to its label ids.
    """

    encode: Callable[[str], list[int]]
    _known: OrderedDict = field(default_factory=OrderedDict, repr=False)

    def options(
        self, choices: list[str], answer: int, response: str, labels: list[int]
    ) -> tuple[list[list[int]], list[int]]:
        """The tokens of each option that are scored, and how many characters they write.

        They are an answer's tokens without the turn's end; where one option begins another one ("1" and "10"), all keep the
        end, which then tells them apart. A thought that the template has skipped is among the tokens, not among the
        characters.

        Args:
            choices: the options.
            answer: the index of the right one.
            response: the row's answer: the right option's text, or its letter.
            labels: the label ids of the row's last turn.

        Returns:
            a list of tokens and a number for every option; nothing where the response is neither text nor letter, so that
            the answer is free.
        """
        answers = _answers(choices, answer, response.strip())
        if answers is None:
            return [], []

        full = [self._labels(text) for text in answers]
        if full[answer] != labels:  # a template that writes an answer according to its prompt
            return [], []

        end = self._end()
        short = [ids[: len(ids) - end] for ids in full]
        if not all(short):
            return [], []

        return full if _one_begins_another(short) else short, [len(text) for text in answers]

    def answer(self, text: str) -> list[int]:
        """The label ids of an answer, the turn's end included."""
        return self._labels(text)

    def _labels(self, text: str) -> list[int]:
        return remembered(self._known, _REMEMBERED, text, lambda: self.encode(text))

    def _end(self) -> int:
        """Number of tokens that every answer ends in."""
        first, second = (self._labels(text)[::-1] for text in _PROBES)
        same = [one == other for one, other in zip(first, second)]
        return same.index(False) if False in same else len(same)


def _answers(choices: list[str], answer: int, response: str) -> list[str] | None:
    if response == choices[answer].strip():
        return [choice.strip() for choice in choices]

    return list(letters(len(choices))) if response == letter(answer) else None


def _one_begins_another(options: list[list[int]]) -> bool:
    ordered = sorted(options)  # an option comes right before those that begin with it
    return any(after[: len(before)] == before for before, after in zip(ordered, ordered[1:]))
