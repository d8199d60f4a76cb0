"""`diagnose --endpoint` as users start it: against a server of tests, and against `llamafactory-cli api`."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from helpers.chat_server import chat_server, completion, refuse
from helpers.runs import COLUMNS, recipe, write_datasets
from llamafactory.train.tuner import run_exp
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from modality_interference.cli import main
from modality_interference.endpoint.client import Manner
from modality_interference.endpoint.journal import JOURNAL_FILE
from modality_interference.results import COUNTERFACTUALS_FILE, ROWS_FILE, read_diagnosis, read_rows


KEY = "sk-very-secret-0123456789"
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`letters`: pictures with options, answered by letter; and others of `runs`."""
    folder = write_datasets(tmp_path_factory.mktemp("endpoint"))
    info = json.loads((folder / "dataset_info.json").read_text())
    twins = {"relevant": ["image"], "perturbations": ["misleading_text", "unrelated_text"]}
    info["letters"] = {
        "file_name": "pictures.json",
        "formatting": "multiple_choice_twins",
        "columns": COLUMNS,
        "twins": twins,
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def top_of(messages) -> dict[str, float]:
    """The probabilities of letters that the test's server gives to a prompt."""
    drawn = random.Random(json.dumps(messages))
    return {letter: drawn.uniform(-6, 0) for letter in "ABCD"}


def lettered(request):
    """A server that answers by letter."""
    top = top_of(request["messages"])
    return completion(max(top, key=top.get), top)


def options_of(folder: Path, row: int) -> list[str]:
    """The options of a row of `letters`."""
    return json.loads((folder / "pictures.json").read_text())[row]["choices"]


def rows_by_place(folder: Path):
    """Scored rows."""
    return {row.identity: row for row in read_rows(folder)}


def test_letters_are_scored_by_their_probabilities(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SERVER_KEY", KEY)
    output = tmp_path / "out"
    with chat_server(answer=lettered) as server:
        options = ["--endpoint", server.url, "--model", HOSTILE, f"{folder}:letters", "-n", "4", "-o", str(output)]
        options += ["--api-key-env", "SERVER_KEY", "--price-in", "2", "--price-out", "10"]
        assert main(["diagnose", *options, "--dry-run"]) == 0
        assert not output.exists() and not server.requests
        assert "12 requests of 4 rows" in capsys.readouterr().out

        assert main(["diagnose", *options]) == 0
        said = capsys.readouterr()
        assert len(server.requests) == 12 and server.keys == {f"Bearer {KEY}"}
        assert "12 answers, 1,200 tokens sent, 24 received, cost 0.0026." in said.out
        first = rows_by_place(output)

        assert main(["diagnose", *options]) == 0
        assert len(server.requests) == 12 and rows_by_place(output) == first
        assert main(["diagnose", *options, "--seed", "8"]) == 1
        assert "`seed` 42, now 8" in capsys.readouterr().err and len(server.requests) == 12

    lines = [json.loads(line) for line in (output / JOURNAL_FILE).read_text().splitlines()[2:]]
    tops = {(line["row"], line["perturbation"]): dict(sorted(line["answer"]["top"].items())) for line in lines}
    sent = [top_of(request["messages"]) for request in server.requests]
    assert sorted(map(str, tops.values())) == sorted(map(str, sent)) and len(tops) == 12
    for (_, index, label), row in first.items():
        top, clean = tops[index, label], tops[index, "clean"]
        best = max(top, key=top.get)
        assert row.response == best and row.answer == options_of(folder, index)["ABCD".index(best)]
        if label != "clean":
            distance = jensenshannon(softmax(list(top.values())), softmax(list(clean.values())), base=2)
            assert row.causal_effect == pytest.approx(distance**2)
            assert row.flipped == (best != max(clean, key=clean.get))

    diagnosis = read_diagnosis(output)
    assert diagnosis.scoring == "top_logprobs" and diagnosis.model["name_or_path"] == HOSTILE
    assert diagnosis.run["cost"] == pytest.approx((1200 * 2 + 24 * 10) / 1e6)
    assert any("The lists of 12 hold all letters" in note for note in diagnosis.notes)
    assert len(diagnosis.gallery) == sum(row.flipped is True for row in first.values()) > 0
    assert all(flip.images[0].startswith("data:image/") and "Option:" in flip.prompt for flip in diagnosis.gallery)
    page = (output / "interference.html").read_text()
    assert "<script>alert" not in page and "\x1b" not in said.out + said.err
    for file in output.rglob("*"):
        assert KEY.encode() not in file.read_bytes(), file


def test_counterfactual_rows_are_asked_and_scored_apart(folder, tmp_path, capsys):
    """The server answers the same whatever it is shown: no interference, and all answers stay without their evidence."""
    info = json.loads((folder / "dataset_info.json").read_text())
    twins = info["letters"]["twins"] | {"counterfactuals": ["black_image", "irrelevant_image"]}
    (folder / "dataset_info.json").write_text(json.dumps(info | {"gone": info["letters"] | {"twins": twins}}))
    output = tmp_path / "out"
    with chat_server(answer=lambda request: completion("A")) as server:
        options = ["--endpoint", server.url, "--model", "m", f"{folder}:gone", "-n", "4", "-o", str(output)]
        assert main(["diagnose", *options, "--dry-run"]) == 0
        assert "20 requests of 4 rows" in capsys.readouterr().out
        assert main(["diagnose", *options]) == 0

    assert {label for _, _, label in rows_by_place(output)} == {"clean", "misleading_text", "unrelated_text"}
    gone = read_rows(output, COUNTERFACTUALS_FILE)
    assert len(gone) == 8 and all(row.unchanged and row.correct for row in gone)
    diagnosis = read_diagnosis(output)
    found = diagnosis.datasets["gone"]
    assert set(found.counterfactuals) == {"counterfactual_black_image", "counterfactual_irrelevant_image"}
    assert (found.grounding.interference.value, found.grounding.blindness.value) == (0, 1)
    assert {(shown.row, shown.perturbation) for shown in diagnosis.unmoved} == {
        (row.row, row.perturbation) for row in gone
    }
    assert all(shown.perturbed_images != shown.images for shown in diagnosis.unmoved)
    page = (output / "interference.html").read_text()
    assert "Answered without evidence" in page and "Worst flips" not in page


def test_another_rule_for_free_answers_asks_nothing_again(tmp_path, capsys):
    write_free(tmp_path)
    rates = []
    with chat_server(answer=lambda request: completion("It is a cat.")) as server:
        for rule in ("exact", "contained"):
            options = ["--endpoint", server.url, "--model", "m", f"{tmp_path}:free", "-o", str(tmp_path / "out")]
            assert main(["diagnose", *options, "--free-answers", rule]) == 0
            diagnosis = read_diagnosis(tmp_path / "out")
            assert diagnosis.free_answers == rule and len(server.requests) == 4
            rates.append(diagnosis.datasets["free"].perturbations["clean"].rates["accuracy"].value)

    assert rates == [0, 0.5]
    first, second = [line for line in capsys.readouterr().out.splitlines() if line.startswith("4 answers")]
    assert "from earlier starts" not in first
    assert second.startswith("4 answers (4 of them from earlier starts)")


def test_a_models_name_leads_nowhere(tmp_path, monkeypatch):
    write_free(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with chat_server(faults=[refuse(401, "no")]) as server:
        assert main(["diagnose", "--endpoint", server.url, "--model", "..", f"{tmp_path}:free"]) == 1

    assert [path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob(JOURNAL_FILE)] == [
        "here/saves/data/free"
    ]


def write_free(folder: Path):
    """A dataset folder with `free`: two questions without options, of which "cat" answers the first."""
    rows = [
        {"instruction": f"What is {index}?", "input": "", "output": word} for index, word in enumerate(("cat", "dog"))
    ]
    (folder / "free.json").write_text(json.dumps(rows))
    twins = {"relevant": ["text"], "perturbations": ["black_image"]}
    entry = {"file_name": "free.json", "formatting": "alpaca_twins", "twins": twins}
    (folder / "dataset_info.json").write_text(json.dumps({"free": entry}))


def test_a_manner_that_somebody_has_written_is_refused(tmp_path, capsys):
    for other in ({"token_limit": "n"}, {"top_logprobs": "all"}, {"top_logprobs": 9999}):
        with pytest.raises(ValueError, match="validation error"):
            Manner.from_dict(other)

    write_free(tmp_path)
    with chat_server() as server:
        options = ["--endpoint", server.url, "--model", "m", f"{tmp_path}:free", "-o", str(tmp_path / "out")]
        assert main(["diagnose", *options]) == 0
        with (tmp_path / "out" / JOURNAL_FILE).open("a") as file:
            file.write('{"manner": {"token_limit": "stream"}}\n')

        assert main(["diagnose", *options]) == 1

    assert "a line with `manner` is not what a run writes" in capsys.readouterr().err


def test_answers_of_a_hostile_server_are_read_and_escaped(folder, tmp_path, capsys):
    with chat_server(answer=lambda request: completion(HOSTILE)) as server:
        options = ["--endpoint", server.url, "--model", "m", f"{folder}:letters", "-n", "2", "-o", str(tmp_path)]
        assert main(["diagnose", *options]) == 0

    said = capsys.readouterr()
    assert "causal effects are not known" in said.out and "\x1b" not in said.out
    diagnosis = read_diagnosis(tmp_path)
    assert diagnosis.scoring == "generate" and len(diagnosis.unparsable) == 6
    assert "<script>alert" not in (tmp_path / "interference.html").read_text()
    assert {row.answer for row in read_rows(tmp_path)} == {None}


@pytest.mark.parametrize(
    "options,word",
    [
        (["--endpoint", "http://localhost:1", "x:y"], "--model NAME"),
        (["--endpoint", "http://localhost:1", "--model", "m", "x", "y"], "DATA alone"),
        (["--endpoint", "http://localhost:1", "--model", "m", "--adapter", "a", "y"], "models of this machine"),
        (["--endpoint", "http://me:hunter2@localhost:1", "--model", "m", "y"], "more than an address"),
        (["m", "x:y", "--dry-run"], "are for `--endpoint`"),
        (["m"], "DATA are needed"),
        (["m", "x:y", "--free-answers", "anls"], "add `--scoring generate`"),
    ],
)
def test_wrong_usage(options, word, capsys):
    assert main(["diagnose", *options]) in (1, 2)
    said = capsys.readouterr().err
    assert word in said and "hunter2" not in said


def test_without_the_client(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "openai", None)
    assert main(["diagnose", "--endpoint", "http://localhost:1", "--model", "m", "x:y"]) == 1
    assert "needs the package openai: pip install" in capsys.readouterr().err


@contextmanager
def llamafactory_api(model: Path, template: str, folder: Path):
    """A running `llamafactory-cli api`; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    keys = {"model_name_or_path": str(model), "template": template, "infer_backend": "huggingface"}
    (folder / "api.yaml").write_text(yaml.safe_dump(keys))
    environment = os.environ | {"API_HOST": "127.0.0.1", "API_PORT": str(port), "API_KEY": KEY, "API_VERBOSE": "0"}
    command = [str(Path(sys.executable).with_name("llamafactory-cli")), "api", str(folder / "api.yaml")]
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    try:
        while b"Uvicorn running" not in (log := (folder / "api.log").read_bytes()):
            assert process.poll() is None, log.decode(errors="replace")
            time.sleep(0.1)

        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_llamafactorys_server_answers_as_a_local_run(folder, checkpoint, tmp_path, monkeypatch, capsys):
    """The same rows, keys, twins and answers; `report` compares them.

    With LLaVA: LLaMA-Factory 0.9.5's server gives the image tokens of Qwen-VL the positions of text, with transformers 5.
    """
    model, template = checkpoint("llava"), "llava"
    keys = recipe(
        model, template, folder, tmp_path / "local", do_train=False, do_eval=True, dataset=None, max_steps=None
    )
    keys |= {"diagnosis_scoring": "generate", "predict_with_generate": True, "max_new_tokens": 8, "max_samples": 3}
    run_exp(keys | {"eval_dataset": "letters,sums", "per_device_eval_batch_size": 1})
    served = tmp_path / "served"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with llamafactory_api(model, template, tmp_path) as url:
        for name in ("letters", "sums"):
            options = [f"{folder}:{name}", "-n", "3", "--seed", "7", "--max-tokens", "8", "-o", str(served / name)]
            assert main(["diagnose", "--endpoint", f"{url}/v1", "--model", "tiny", *options]) == 0

        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
        options[-1] = str(tmp_path / "refused")
        assert main(["diagnose", "--endpoint", f"{url}/v1", "--model", "tiny", *options]) == 1
        said = capsys.readouterr().err
        assert "HTTP 401: Invalid API key" in said and "sk-wrong" not in said

    local, other = rows_by_place(tmp_path / "local"), {}
    for name in ("letters", "sums"):
        other |= rows_by_place(served / name)

    assert len(local) == 18 and other == local and len({row.response for row in local.values()}) > 3
    assert main(["report", str(tmp_path / "local"), str(served / "sums"), "-o", str(tmp_path / "compared")]) == 0
    assert (served / "sums" / ROWS_FILE).is_file() and KEY not in (served / "sums" / JOURNAL_FILE).read_text()
