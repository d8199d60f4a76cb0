"""Ask all questions that the journal does not answer, several at a time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..batching.batch import Question
from .client import Hopeless, Server, Unanswered
from .journal import Journal
from .questions import Asked, AskedRow


Progress = Callable[[int, int], None]  # (done, total), in rows
_FIRST = 3  # questions without an answer, before there is any answer: then it is not the questions' fault
_IN_A_ROW = 10  # questions without an answer, later


@dataclass(frozen=True)
class Line:
    """A row that was asked, without its media.

    Attributes:
        index: of the row in its dataset.
        questions: the clean one, and those of its twins.
        digests: of their prompts.
    """

    index: int
    questions: tuple[Question, ...]
    digests: tuple[str, ...]


@dataclass
class Asking:
    """Rows on their way to a server.

    Attributes:
        server: whom to ask.
        journal: what is known, and where answers go.
        concurrency: how many requests may be under way.
        show_progress: is told how many rows are done.
        total: how many rows there are.
        lines: the rows so far.
        dropped: why rows and twins could not be asked.
        failures: why questions were not answered.
        requests: how many questions were asked.
    """

    server: Server
    journal: Journal
    concurrency: int
    show_progress: Progress
    total: int
    lines: list[Line] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    requests: int = 0
    _done: int = 0
    _answered: bool = False
    _in_a_row: int = 0
    _under_way: set[str] = field(default_factory=set)

    async def run(self, rows: Iterator[AskedRow]) -> None:
        """Ask; media are encoded in another thread meanwhile, and no more of them are held than requests are under way.

        Args:
            rows: in order.

        Raises:
            Hopeless: no request can succeed; what was answered until then is in the journal.
            JournalError: a question has changed since the journal holds an answer to it.
        """
        slots = asyncio.Semaphore(self.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                while (row := await asyncio.to_thread(next, rows, None)) is not None:
                    await self._begin(row, slots, group)
        except ExceptionGroup as errors:  # of several at once, the first says it
            raise errors.exceptions[0] from None

    async def _begin(self, row: AskedRow, slots: asyncio.Semaphore, group: asyncio.TaskGroup) -> None:
        self.dropped += row.dropped
        digests = tuple(item.prompt.digest for item in row.items)
        self.lines.append(Line(row.index, tuple(item.question for item in row.items), digests))
        left = [len(row.items) + 1]  # one more for the loop itself

        def finish(_: object = None) -> None:
            left[0] -= 1
            if not left[0]:
                self._done += 1
                self.show_progress(self._done, self.total)

        for item, digest in zip(row.items, digests):
            self.journal.check(item.place, digest)
            if self.journal.find(digest) is not None or digest in self._under_way:
                finish()
                continue

            await slots.acquire()
            self._under_way.add(digest)
            group.create_task(self._ask(item, digest, slots)).add_done_callback(finish)

        finish()

    async def _ask(self, item: Asked, digest: str, slots: asyncio.Semaphore) -> None:
        self.requests += 1
        try:
            answer = await self.server.ask(item.prompt, item.has_letters)
        except Unanswered as error:
            self._fail(str(error))
        else:
            self.journal.keep_manner(self.server.manner.to_dict())
            self.journal.add(item.place, digest, answer)
            self._answered, self._in_a_row = True, 0
        finally:
            slots.release()

    def _fail(self, reason: str) -> None:
        self.failures.append(reason)
        self._in_a_row += 1
        if self._in_a_row >= (_IN_A_ROW if self._answered else _FIRST):
            kept = (
                " What was answered is kept: the same command goes on from there."
                if self.journal.lines.answers
                else ""
            )
            raise Hopeless(
                f"{self._in_a_row} questions in a row were not answered; the last one: {reason}. Check the server and the data, and "
                f"start again.{kept}"
            )
