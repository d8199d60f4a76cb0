"""Questions against a server that is slow, strict, broken or hostile; prompts are made by hand, requests are real."""

import asyncio
import gzip
import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager

import pytest
from helpers.chat_server import break_off, chat_server, completion, hang, refuse, say

from modality_interference.batching.batch import Question
from modality_interference.endpoint import asking as asking_module
from modality_interference.endpoint import client as client_module
from modality_interference.endpoint.address import Address
from modality_interference.endpoint.asking import Asking
from modality_interference.endpoint.client import Hopeless, Limits, Manner, connected
from modality_interference.endpoint.journal import JOURNAL_FILE, open_journal, read_lines
from modality_interference.endpoint.prompt import Medium, Prompt
from modality_interference.endpoint.questions import Asked, AskedRow
from modality_interference.modality import Modality


KEY = "sk-very-secret-0123456789"
TOP = {"A": -2.0, "B": -0.5, "C": -3.0, "D": -4.0}


def row(index: int, parts: tuple = (), choices: tuple[str, ...] = ("cat", "dog", "cow", "owl")) -> AskedRow:
    """A clean question and a twin."""
    asked = []
    for number, label in enumerate(("clean", "ocr_text")):
        question = Question("pets", index, 1000 + index, "image", label, number, 0, choices, answer=1, target=None)
        asked.append(Asked(question, Prompt((("user", (f"question {index} {label}", *parts)),))))

    return AskedRow(index, tuple(asked))


def ask(url, folder, rows, concurrency=4, timeout=5.0, manner=Manner(), key=KEY):  # noqa: B008
    """Ask all rows; what `endpoint.run` does between planning and scoring."""

    async def run() -> Asking:
        address = Address(f"{url}/v1", "host", key)
        async with connected(address, "m", Limits(8, timeout), manner) as server:
            asking = Asking(server, journal, concurrency, lambda done, total: shown.append((done, total)), len(rows))
            await asking.run(iter(rows))
            return asking

    shown = []
    with open_journal(folder) as journal:
        journal.begin({"model": "m"})
        asking = asyncio.run(run())
        answers = {
            (line.questions[number].row, line.questions[number].perturbation): journal.find(digest)
            for line in asking.lines
            for number, digest in enumerate(line.digests)
        }

    return asking, answers, shown


@contextmanager
def fast(monkeypatch):
    """Without the seconds of patience."""
    monkeypatch.setattr(client_module, "_PATIENCE", 0.01)
    with chat_server(answer=lambda request: completion("B", TOP)) as server:
        yield server


def test_all_are_asked_a_few_at_a_time(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.seconds = 0.02
        asking, answers, shown = ask(server.url, tmp_path, [row(index) for index in range(10)], concurrency=3)
        assert len(server.requests) == asking.requests == 20 and server.most == 3
        assert server.keys == {f"Bearer {KEY}"}
        assert all(
            answer.text == "B" and answer.top == TOP and answer.prompt_tokens == 100 for answer in answers.values()
        )
        assert shown[-1] == (10, 10) and not asking.failures
        request = server.requests[0]
        assert (request["temperature"], request["max_tokens"], request["top_logprobs"]) == (0, 8, 20)

        again, same, _ = ask(server.url, tmp_path, [row(index) for index in range(12)])
        assert again.requests == 4 and len(server.requests) == 24 and answers.items() <= same.items()

    assert KEY not in (tmp_path / JOURNAL_FILE).read_text()


def test_what_is_refused_for_now_is_asked_again(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.faults = [
            *(None, refuse(429, "slow down", Retry_After="1"), break_off, say(b"<html>gateway</html>")),
            *(None, say({"choices": []}), say({"error": "busy"})),
            *(None, refuse(503, "busy"), say(b'{"choices": [{"message": {"content": ' + b"[" * 5000)),
        ]
        began = time.monotonic()
        asking, answers, _ = ask(server.url, tmp_path, [row(0), row(1), row(2)], concurrency=1)
        assert time.monotonic() - began > 1  # Retry-After
        assert not asking.failures and all(answer.text == "B" for answer in answers.values())
        assert len(server.requests) == 6 + 7


def test_a_request_that_is_refused_for_good_is_counted(tmp_path, monkeypatch):
    withheld = completion("")
    withheld["choices"][0]["finish_reason"] = "content_filter"
    with fast(monkeypatch) as server:
        server.faults = [None, refuse(413, "image too large"), say(withheld), refuse(400, "content policy")]
        asking, answers, _ = ask(server.url, tmp_path, [row(index) for index in range(4)], concurrency=1)
        assert len(asking.failures) == 3 and "HTTP 413: image too large" in asking.failures[0]
        assert sum(answer is None for answer in answers.values()) == 3

        again, answers, _ = ask(server.url, tmp_path, [row(index) for index in range(4)])
        assert again.requests == 3 and None not in answers.values()


@pytest.mark.parametrize("status,word", [(401, "Check the key"), (404, "Check `--endpoint`"), (307, "elsewhere")])
def test_what_no_request_can_pass_ends_at_once(tmp_path, monkeypatch, status, word):
    with fast(monkeypatch) as server:
        server.faults = [refuse(status, f"no: {KEY}", Location="http://127.0.0.1:9/v1")] * 30
        with pytest.raises(Hopeless, match=word) as error:
            ask(server.url, tmp_path, [row(index) for index in range(20)])

        assert len(server.requests) == 1 and KEY not in str(error.value)


def test_a_server_that_refuses_every_question_is_left_after_a_few(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.faults = [refuse(400, "no image input")] * 99
        with pytest.raises(
            Hopeless, match="3 questions in a row were not answered; the last one: HTTP 400: no image input"
        ):
            ask(server.url, tmp_path, [row(index) for index in range(20)])

        assert len(server.requests) == 6  # with and without `logprobs`

    with fast(monkeypatch) as server:
        server.faults = [None] * 4 + [refuse(400, "no")] * 99
        with pytest.raises(Hopeless, match="What was answered is kept"):
            ask(server.url, tmp_path / "later", [row(index) for index in range(40)], concurrency=1)

        assert len(server.requests) == 4 + asking_module._IN_A_ROW


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "_FIRST_RETRIES", 0)
    with pytest.raises(Hopeless, match="no connection"):
        ask("http://127.0.0.1:9", tmp_path, [row(index) for index in range(5)])


def test_a_server_that_does_not_reply_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "_FIRST_RETRIES", 0)
    with fast(monkeypatch) as server:
        server.faults = [hang(0.6), None, None, None]
        asking, answers, _ = ask(server.url, tmp_path, [row(0), row(1)], concurrency=1, timeout=0.3)
        assert (
            asking.failures == ["no reply within 0.3 seconds"]
            and sum(answer is None for answer in answers.values()) == 1
        )


def strict(request):
    """A server of reasoning models: no sampling parameters, no probabilities, another name of the limit; and audio by URL."""
    for name in ("max_tokens", "temperature", "logprobs"):
        if name in request:
            hint = ", use max_completion_tokens" if name == "max_tokens" else ""
            return f"Unsupported parameter: {name}{hint}"

    return "Input should be audio_url" if "input_audio" in json.dumps(request) else None


def test_how_a_server_wants_to_be_asked_is_found_out(tmp_path, monkeypatch):
    sound = Medium(Modality.AUDIO, "audio/wav", b"RIFF", "digest")
    with fast(monkeypatch) as server:

        def fault(handler):
            why = strict(server.requests[-1])
            return refuse(400, why)(handler) if why else False

        server.faults = [fault] * 40
        rows = [row(0), row(1, (sound,)), row(2, (sound,))]
        asking, answers, _ = ask(server.url, tmp_path, rows, concurrency=1)
        assert not asking.failures and None not in answers.values()
        assert asking.server.manner == Manner(0, "max_completion_tokens", False, "audio_url")
        assert len(server.requests) == 6 + 4  # four refusals in all
        with open_journal(tmp_path) as journal:
            assert Manner(**journal.lines.manner) == asking.server.manner


def test_a_server_without_probabilities_is_not_asked_for_them_again(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.answer = lambda request: completion("The dog.")
        asking, _, _ = ask(server.url, tmp_path, [row(0), row(1)], concurrency=1)
        assert [request.get("top_logprobs") for request in server.requests] == [20, None, None, None]
        assert asking.server.manner.top_logprobs == 0


def test_questions_without_options_ask_for_no_probabilities(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        ask(server.url, tmp_path, [row(0, choices=()), row(1)], concurrency=1)
        assert [request.get("top_logprobs") for request in server.requests] == [None, None, 20, 20]


def test_a_huge_answer_is_none(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.faults = [say(completion("B" * 100_000))] * 3 + [None] * 9
        asking, answers, _ = ask(server.url, tmp_path, [row(0), row(1)], concurrency=1)
        assert len(asking.failures) == 1 and "100,000 characters" in asking.failures[0]
        assert sum(answer is None for answer in answers.values()) == 1


def test_a_server_that_repeats_the_key(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.answer = lambda request: completion(KEY, {KEY: -0.1, "A": -3.0})
        _, answers, _ = ask(server.url, tmp_path, [row(0)])
        assert {answer.text for answer in answers.values()} == {"[key]"}
        assert KEY not in (tmp_path / JOURNAL_FILE).read_text()


def test_a_word_in_place_of_a_key_stays_in_answers(tmp_path, monkeypatch):
    with fast(monkeypatch) as server:
        server.answer = lambda request: completion("none of them")
        _, answers, _ = ask(server.url, tmp_path, [row(0)], key="none")
        assert {answer.text for answer in answers.values()} == {"none of them"}


def test_of_a_refusal_no_more_is_read_than_a_message_needs(tmp_path, monkeypatch):
    """Compressed, 300 bytes become 300,000; the client would read all of it, however much there is."""
    monkeypatch.setattr(client_module, "_MAX_ERROR_BYTES", 100)
    body = gzip.compress(b'{"error": {"message": "' + b"x" * 300_000 + b'"}}')
    said = []
    monkeypatch.setattr(client_module, "_words", lambda error: said.append(error.response.content) or "no")
    with fast(monkeypatch) as server:
        server.faults = [lambda handler: handler.send(401, body, Content_Encoding="gzip") or True]
        with pytest.raises(Hopeless, match="HTTP 401"):
            ask(server.url, tmp_path, [row(0)], concurrency=1)

    assert len(said) == 1 and len(said[0]) < 200_000


def test_one_prompt_in_two_places_is_asked_once(tmp_path, monkeypatch):
    first, second = row(0), row(1)
    same = AskedRow(1, tuple(Asked(new.question, old.prompt) for new, old in zip(second.items, first.items)))
    with fast(monkeypatch) as server:
        server.seconds = 0.05
        _, answers, _ = ask(server.url, tmp_path, [first, same])
        assert len(server.requests) == 2 and len(answers) == 4 and None not in answers.values()


def test_a_killed_run_asks_nothing_again_that_was_answered(tmp_path, monkeypatch):
    """Killed at four moments; what the journal held is never asked again, and in the end nothing is missing."""
    rows = [row(index) for index in range(30)]
    with fast(monkeypatch) as server:
        server.seconds = 0.01
        for answered in (3, 17, 29, 44):
            child = multiprocessing.get_context("fork").Process(target=ask, args=(server.url, tmp_path, rows))
            child.start()
            while (
                not (tmp_path / JOURNAL_FILE).exists()
                or (tmp_path / JOURNAL_FILE).read_bytes().count(b"\n") < answered
            ):
                time.sleep(0.002)

            os.kill(child.pid, signal.SIGKILL)
            child.join()
            assert child.exitcode == -signal.SIGKILL
            known = {item.prompt.digest for item in _items(rows)} & set(
                read_lines((tmp_path / JOURNAL_FILE).read_bytes()).answers
            )
            time.sleep(0.05)  # what is under way at the server ends
            before = len(server.requests)
            texts = {item.prompt.turns[0][1][0] for item in _items(rows) if item.prompt.digest in known}
            assert len(known) >= answered - 2

            with (tmp_path / JOURNAL_FILE).open("ab") as file:
                file.write(b'{"dataset":"pets","row":29,"per')  # as a power cut may leave it

            ask(server.url, tmp_path, rows[:2])
            asked = {request["messages"][0]["content"] for request in server.requests[before:]}
            assert not asked & texts

        asking, answers, _ = ask(server.url, tmp_path, rows)
        assert None not in answers.values() and len(answers) == 60
        assert ask(server.url, tmp_path, rows)[0].requests == 0


def _items(rows):
    return [item for row in rows for item in row.items]
