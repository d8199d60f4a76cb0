"""The part of a prompt that its answer is read from: found where a row names it, and another text in its place."""

import re
from collections.abc import Sequence

from ..errors import Unusable
from ..messages import shown
from .matching import UNSPACED
from .options import lettered, options_at
from .sample import Sample, Span, without_placeholders


MAX_TEXTS, MAX_PLACES = 100, 100  # of a row: each place takes time that grows with the prompt
MAX_CHARACTERS = 200_000  # of a row's evidence: about a second to look for
_SENTENCE_END = re.compile(r"[.!?;。！？；]+")


def find_evidence(sample: Sample, value: object) -> tuple[Span, ...]:
    """Where the prompt says what a cell of the column `evidence` holds.

    Every place counts, in the system prompt and in all turns before the answer, but not in the list of options.

    Args:
        sample: the row, with all its placeholders.
        value: the cell: a text or a list of texts, in the prompt's own words, whatever its spaces and line breaks. None and
            empty texts count as absent.

    Returns:
        The places, in order, those that overlap as one.

    Raises:
        Unusable: `evidence not understood`, or `evidence not in the prompt`.
    """
    items, spans = value if isinstance(value, (list, tuple)) else [value], list[Span]()
    if len(items) > MAX_TEXTS:
        raise Unusable("evidence not understood", f"{len(items):,} texts; at most {MAX_TEXTS} are allowed")

    characters = sum(len(item) for item in items if isinstance(item, str))
    if characters > MAX_CHARACTERS:
        raise Unusable("evidence not understood", f"{characters:,} characters; at most {MAX_CHARACTERS:,} are allowed")

    for item in items:
        if item is not None and not isinstance(item, str):
            raise Unusable("evidence not understood", f"evidence is a text or a list of texts, found {shown(item)}")

        text = without_placeholders(item or "").strip()
        found = [span for part in _searched(sample) for span in _places(text, sample, part)] if text else []
        if text and not found:
            raise Unusable(
                "evidence not in the prompt",
                f"`evidence` is {shown(text)}, which the prompt does not have word for word; copy it from there",
            )

        spans += found

    if len(spans) > MAX_PLACES:
        raise Unusable(
            "evidence not understood",
            f"it stands at {len(spans):,} places of the prompt; at most {MAX_PLACES} are allowed: name a longer part",
        )

    return _merged(spans)


def question_span(sample: Sample) -> tuple[Span, ...]:
    """The last user message up to its options, for rows that name no evidence; empty where there is none."""
    users = [index for index, message in enumerate(sample.prompt) if message["role"] == "user"]
    return tuple(span for span in _searched(sample) if users and span.message == users[-1])


def evidence_texts(sample: Sample, spans: Sequence[Span]) -> list[str]:
    """What the prompt says at some places."""
    return [_content(sample, span)[span.start : span.end] for span in spans]


def with_evidence(sample: Sample, spans: Sequence[Span], texts: Sequence[str]) -> Sample:
    """The sample with other texts at some places.

    Args:
        sample: the row as it was parsed.
        spans: places in order, none of which overlap.
        texts: one for each place. An empty one takes the rest of a sentence's punctuation with it, and leaves no gap.
    """
    prompt, system = [dict(message) for message in sample.prompt], sample.system
    for span, text in reversed(list(zip(spans, texts, strict=True))):
        content = system if span.message is None else prompt[span.message]["content"]
        changed = _put(content, span, text) if text else _cut(content, span)
        if span.message is None:
            system = changed
        else:
            prompt[span.message]["content"] = changed

    return sample.changed(prompt=prompt, system=system)


def _searched(sample: Sample) -> list[Span]:
    """The texts of a prompt, without the list of options."""
    last = max((index for index, message in enumerate(sample.prompt) if message["role"] == "user"), default=None)
    parts = [Span(None, 0, len(sample.system))]
    for index, message in enumerate(sample.prompt):
        content = message["content"]
        parts.append(Span(index, 0, _options_start(content, sample) if index == last else len(content)))

    return parts


def _options_start(content: str, sample: Sample) -> int:
    if not sample.choices:
        return len(content)

    place = content.rfind("\n".join(lettered(sample.choices)))  # as `multiple_choice_twins` lists them
    listed = place if place >= 0 else options_at(content, sample.choices)
    return len(content) if listed is None else listed


def _places(text: str, sample: Sample, part: Span) -> list[Span]:
    """Where a text stands in a part of the prompt, whatever the spaces between its words; never within a word.

    Chinese, say, has no spaces between words.
    """
    words = r"\s+".join(map(re.escape, text.split()))
    before, after = (
        r"\b" if re.match(r"\w", letter) and not re.match(f"[{UNSPACED}]", letter) else ""
        for letter in (text[0], text[-1])
    )
    content = _content(sample, part)[: part.end]
    return [Span(part.message, *match.span()) for match in re.finditer(f"{before}{words}{after}", content)]


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (-1 if span.message is None else span.message, span.start)):
        if merged and merged[-1].message == span.message and span.start < merged[-1].end:
            merged[-1] = Span(span.message, merged[-1].start, max(span.end, merged[-1].end))
        else:
            merged.append(span)

    return tuple(merged)


def _content(sample: Sample, span: Span) -> str:
    return sample.system if span.message is None else sample.prompt[span.message]["content"]


def _put(content: str, span: Span, text: str) -> str:
    return f"{content[: span.start]}{text}{content[span.end :]}"


def _cut(content: str, span: Span) -> str:
    end = _SENTENCE_END.match(content, span.end)
    before, after = content[: span.start], content[end.end() if end else span.end :]
    gaps = before[len(before.rstrip()) :], after[: len(after) - len(after.lstrip())]
    gap = max(gaps, key=lambda gap: (gap.count("\n"), len(gap))) if before.strip() and after.strip() else ""
    return f"{before.rstrip()}{gap}{after.lstrip()}"
