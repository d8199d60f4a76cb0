"""The errors that users of the plugin see."""

from typing import Any

from .printable import printable


class ModalityInterferenceError(ValueError):
    """Bad input (a key, a dataset, a row, a batch) that the user can fix; the message says how.

    As text it is printable, whatever untrusted names, paths and cells it quotes.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class Unusable(ModalityInterferenceError):
    """A row or a medium that cannot be used: it is dropped and counted, never fatal.

    Attributes:
        kind: a short stable name, by which what is dropped is counted; holds no colon.
        detail: what was found, and what to do.
        source: the medium as the row has it, where it is one; None otherwise.
    """

    def __init__(self, kind: str, detail: str = "", source: Any = None) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail
        self.source = source
