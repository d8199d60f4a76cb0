"""Addresses, prompts and replies: what goes out, what comes in, and what must never show."""

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality_interference.endpoint.address import read_address
from modality_interference.endpoint.prompt import Medium, make_prompt
from modality_interference.endpoint.reply import Nonsense, read_reply
from modality_interference.errors import ModalityInterferenceError, Unusable
from modality_interference.modality import Modality


IMAGE, VIDEO, AUDIO = Modality.IMAGE, Modality.VIDEO, Modality.AUDIO


@pytest.mark.parametrize(
    "given,url,host",
    [
        ("http://localhost:8000", "http://localhost:8000/v1", "localhost:8000"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1", "localhost:8000"),
        ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1", "api.example.com"),
        ("https://example.com/v1beta/openai/", "https://example.com/v1beta/openai", "example.com"),
        ("http://[::1]:8000", "http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_addresses(given, url, host, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    address = read_address(given)
    assert (address.url, address.host, address.key) == (url, host, "EMPTY")


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8000",
        "file:///etc/passwd",
        "http://",
        "http://[x",
        "https://user:hunter2@host/v1",
        "https://host/v1?key=hunter2",
    ],
)
def test_addresses_that_are_refused_do_not_show_secrets(given):
    with pytest.raises(ModalityInterferenceError, match="`--endpoint`") as error:
        read_address(given)

    assert "hunter2" not in str(error.value)


def test_keys_come_from_the_environment_and_stay_hidden(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("OTHER", "sk-two\n")
    monkeypatch.setenv("BROKEN", "sk\nthree")
    assert read_address("http://h").key == "sk-one" and read_address("http://h", "OTHER").key == "sk-two"
    assert "sk-one" not in repr(read_address("http://h"))
    assert read_address("http://h").without_key("Incorrect key: sk-one.") == "Incorrect key: [key]."
    for name, word in (("MISSING", "not set"), ("BROKEN", "line breaks")):
        with pytest.raises(ModalityInterferenceError, match=word) as error:
            read_address("http://h", name)

        assert "three" not in str(error.value)

    exposed = [
        read_address(url).is_exposed for url in ("http://h", "https://h", "http://127.0.0.1:1", "http://localhost")
    ]
    assert exposed == [True, False, False, False]


def medium(kind: Modality, name: str) -> Medium:
    """A medium of these bytes."""
    return Medium(kind, {IMAGE: "image/png", VIDEO: "video/mp4", AUDIO: "audio/wav"}[kind], name.encode(), name)


def test_media_take_the_place_of_their_placeholders():
    turns = [
        {"role": "user", "content": "<image>First?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Like <image> or <video>\nas <audio>"},
    ]
    media = {
        IMAGE: [[medium(IMAGE, "a")], [medium(IMAGE, "b")]],
        VIDEO: [[medium(IMAGE, "1"), medium(IMAGE, "2")]],
        AUDIO: [[medium(AUDIO, "w")]],
    }
    prompt = make_prompt(turns, "Be brief.", media)

    def image(name):
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(name).decode()}"}}

    encoded = base64.b64encode(b"w").decode()
    assert prompt.to_openai("input_audio") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [image(b"a"), {"type": "text", "text": "First?"}]},
        {"role": "assistant", "content": "Yes."},
        {
            "role": "user",
            "content": [
                *({"type": "text", "text": "Like "}, image(b"b"), {"type": "text", "text": " or "}),
                *(image(b"1"), image(b"2"), {"type": "text", "text": "\nas "}),
                {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}},
            ],
        },
    ]
    assert prompt.to_openai("audio_url")[3]["content"][-1] == {
        "type": "audio_url",
        "audio_url": {"url": f"data:audio/wav;base64,{encoded}"},
    }
    digests = {
        make_prompt(turns[:1], system, {IMAGE: [[medium(IMAGE, name)]]}).digest
        for system in ("", "x")
        for name in "ab"
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    "turns",
    [
        [
            {"role": "user", "content": "?"},
            {"role": "function", "content": "{}"},
            {"role": "observation", "content": "1"},
        ],
        [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": "<image>"},
            {"role": "user", "content": "?"},
        ],
    ],
)
def test_turns_that_servers_do_not_take(turns):
    with pytest.raises(Unusable):
        make_prompt(turns, "", {IMAGE: [[medium(IMAGE, "a")]], VIDEO: [], AUDIO: []})


def body(content="B", logprobs=None, **keys) -> bytes:
    """A reply."""
    choice = {"message": {"content": content}, "finish_reason": "stop", "logprobs": logprobs}
    return json.dumps({"choices": [choice | keys]}).encode()


def token(text, value=-1.0, **keys):
    return {"token": text, "logprob": value, **keys}


def test_the_first_token_that_says_something():
    lists = [
        token("**"),
        token("\n", top_logprobs=[token("x")]),
        token("▁B", bytes=[32, 66], top_logprobs=[token("A", -3), token("C", -9999.0), token("D", -math.inf)]),
    ]
    answer = read_reply(body("**\n B", {"content": lists}), 8)
    assert (answer.first, answer.top) == (" B", {" B": -1.0, "A": -3.0, "C": -9999.0})


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {"content": None},
        {"content": []},
        {"content": [1]},
        {"content": [token("B")]},
        {"content": [token("B", float("nan"), top_logprobs=[token("B")])]},
        {"content": [token("B", top_logprobs=[{"token": 3}])]},
        [],
        "x",
    ],
)
def test_probabilities_that_cannot_be_read_are_none(logprobs):
    assert read_reply(body("B", logprobs), 8).probabilities is None


def test_texts_of_all_kinds():
    assert read_reply(body([{"type": "thinking"}, {"type": "text", "text": "B"}]), 8).text == "B"
    parts = [{"type": "thinking", "text": "A?"}, {"type": "reasoning", "text": "A"}, {"type": "text", "text": "B"}]
    assert read_reply(body(parts), 8).text == "B"
    assert read_reply(body(None), 8).text == ""
    assert read_reply(body("\ud800 B"), 8).text == "? B"
    assert read_reply(body(None, message={"content": None, "refusal": "No."}), 8).text == "No."
    assert read_reply(body(finish_reason="length"), 8).cut


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "logprobs", "token", "top_logprobs"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: body("B", value, usage=value))
)
def test_any_reply_is_an_answer_or_nonsense(data):
    try:
        answer = read_reply(data, 8)
    except Nonsense as error:
        assert len(str(error)) < 500
    else:
        answer.model_dump_json().encode()
