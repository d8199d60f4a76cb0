"""Instructions that `diagnosis_prompt` puts behind every question of an evaluation."""

from ..modality import Modality, from_bits
from .sample import Message


ANSWER_LINE = "Answer:"  # how the last line begins that a chain of thought ends in
_WHERE = {
    Modality.TEXT: "its text",
    Modality.IMAGE: "the image",
    Modality.VIDEO: "what the video shows",
    Modality.AUDIO: "the audio",
}
_REST = "in this prompt may be irrelevant or misleading: ignore it."
_STEPS = f'First think step by step. Then write a last line that begins with "{ANSWER_LINE}" and holds nothing but the answer.'


def instruction(name: str, relevant: int) -> str:
    """What is asked of a model beside the question.

    Args:
        name: `none`, `ignore_irrelevant` or `chain_of_thought`.
        relevant: what the answer depends on, as bits; 0 where nothing is known.

    Returns:
        A sentence or two; "" for `none`.
    """
    if name == "none":
        return ""

    if name == "chain_of_thought":
        return _STEPS

    known = from_bits(relevant)
    if not known:
        return f"Whatever is not needed to answer the question {_REST}"

    sources = " and ".join(_WHERE[modality] for modality in Modality if modality in known)
    return f"Answer the question from {sources} only. Everything else {_REST}"


def with_instruction(prompt: list[Message], name: str, relevant: int) -> list[Message]:
    """A prompt with the instruction as the last line of its last user turn; a row and its twins get the same.

    Args:
        prompt: turns, of which the last user's asks the question.
        name: see `instruction`.
        relevant: likewise.
    """
    text = instruction(name, relevant)
    asked = [index for index, turn in enumerate(prompt) if turn["role"] == "user"]
    if not text or not asked:
        return prompt

    last = prompt[asked[-1]]
    return [*prompt[: asked[-1]], {**last, "content": f"{last['content']}\n{text}"}, *prompt[asked[-1] + 1 :]]
