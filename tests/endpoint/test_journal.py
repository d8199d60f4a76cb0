"""The journal: whatever a killed process leaves of it, all complete lines count and nothing else does."""

import json
import multiprocessing
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modality_interference.endpoint.journal import JOURNAL_FILE, JournalError, open_journal, read_lines
from modality_interference.endpoint.reply import Answer


IDENTITY = {"model": "m", "endpoint": "localhost:1", "max_tokens": 8, "seed": 1}
ANSWERS = st.builds(
    Answer,
    text=st.text(max_size=20),
    first=st.text(max_size=3),
    top=st.dictionaries(st.text(max_size=3), st.floats(-50, 0), max_size=3),
    cut=st.booleans(),
)
ENTRIES = st.lists(
    st.tuples(st.text(max_size=5), st.integers(0, 9), st.sampled_from(["clean", "ocr_text"]), ANSWERS), max_size=5
)


@settings(deadline=None, max_examples=30)
@given(ENTRIES, st.data())
def test_a_journal_that_is_cut_anywhere_holds_its_complete_lines(tmp_path_factory, entries, data):
    folder = tmp_path_factory.mktemp("journal")
    path = folder / JOURNAL_FILE
    sizes = []
    with open_journal(folder) as journal:
        journal.begin(IDENTITY)
        for number, (dataset, row, perturbation, answer) in enumerate(entries):
            journal.add((dataset, row, perturbation), f"digest {number}", answer)
            sizes.append(path.stat().st_size)

    whole = path.read_bytes()
    end = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:end])
    kept = sum(size <= end for size in sizes)
    with open_journal(folder) as journal:
        assert list(journal.lines.answers) == [f"digest {number}" for number in range(kept)]
        assert list(journal.lines.answers.values()) == [answer for *_, answer in entries[:kept]]
        journal.begin(IDENTITY)
        for number, (dataset, row, perturbation, answer) in list(enumerate(entries))[kept:]:
            journal.add((dataset, row, perturbation), f"digest {number}", answer)

    assert path.read_bytes() == whole  # as if nobody had cut it


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(data):
    try:
        lines = read_lines(data)
    except JournalError as error:
        assert "line" in str(error) or "layout" in str(error)
    else:
        assert lines.size <= len(data) and not lines.answers  # random bytes hold no answer


@pytest.mark.parametrize(
    "line",
    [
        b'{"dataset":"a","row":1e999,"perturbation":"c","prompt":"d","answer":{"text":"B"}}',
        b"[]",
        b"null",
        b'{"prompt": 1}',
        b'{"dataset":"a","row":0,"perturbation":"c","prompt":"d","answer":3}',
        b"\xff",
    ],
)
def test_a_line_of_another_program_is_named(tmp_path, line):
    with open_journal(tmp_path) as journal:
        journal.begin(IDENTITY)

    with (tmp_path / JOURNAL_FILE).open("ab") as file:
        file.write(line + b"\n")

    with pytest.raises(JournalError, match="line 2 is no line of a journal"):
        open_journal(tmp_path).__enter__()


def test_the_journal_of_another_run_is_refused(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.begin(IDENTITY)
        journal.add(("pets", 0, "clean"), "one", Answer(text="B"))

    with open_journal(tmp_path) as journal:
        with pytest.raises(JournalError, match="`model` 'm', now 'other'"):
            journal.begin(IDENTITY | {"model": "other"})

        journal.begin(IDENTITY)
        journal.check(("pets", 0, "clean"), "one")
        journal.check(("pets", 1, "clean"), "two")
        with pytest.raises(JournalError, match=r"dataset `pets`, row 0, clean, whose question or media were\s+others"):
            journal.check(("pets", 0, "clean"), "two")


def test_a_pipe_in_its_place_is_refused(tmp_path):
    os.mkfifo(tmp_path / JOURNAL_FILE)
    with pytest.raises(JournalError, match="no regular file"):
        open_journal(tmp_path).__enter__()


def test_an_error_of_another_file_is_not_the_journals(tmp_path):
    with pytest.raises(FileNotFoundError), open_journal(tmp_path):
        (tmp_path / "missing").read_bytes()

    with pytest.raises(JournalError, match="cannot use"):  # a file in the folder's place
        open_journal(tmp_path / JOURNAL_FILE).__enter__()


def _open_elsewhere(folder, said):
    try:
        with open_journal(folder):
            said.put("opened")
    except JournalError as error:
        said.put(str(error))


def test_two_processes_do_not_share_a_journal(tmp_path):
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    with open_journal(tmp_path):
        other = context.Process(target=_open_elsewhere, args=(tmp_path, said))
        other.start()
        other.join()

    assert "another process writes" in said.get()
    _open_elsewhere(tmp_path, said)
    assert said.get() == "opened"


def test_lines_are_ascii_json(tmp_path):
    with open_journal(tmp_path) as journal:
        journal.begin(IDENTITY)
        journal.add(("pets", 0, "clean"), "one", Answer(text="\u2028 \x00 ü"))

    lines = (tmp_path / JOURNAL_FILE).read_bytes().split(b"\n")
    assert len(lines) == 3 and lines[-1] == b"" and json.loads(lines[1])["answer"] == {"text": "\u2028 \x00 ü"}
