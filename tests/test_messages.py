"""How refused data is explained: where it is, what was found, what is allowed, what was probably meant."""

import json

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modality_interference.messages import explain, explain_keys


class Inner(BaseModel):
    count: int = Field(ge=0)


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    size: tuple[int, int] = Field((1, 1), description="a list [width, height] of pixels")
    name: str = Field(description="a text")
    inner: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("data", "parent", "message"),
    [
        ({"name": 3}, "", "`name` must be a text, found 3 (Input should be a valid string)"),
        ({"name": 3}, "twins", "`twins.name` must be a text, found 3 (Input should be a valid string)"),
        ({"name": "a", "size": [1, "x"]}, "", "`size` must be a list [width, height] of pixels, found 'x' (Input should"),
        ({}, "twins", "`twins.name` is missing; give a text"),
        ({"name": "a", "nam": 1}, "a.b[0]", "`a.b[0].nam` is no known key. Did you mean `name`? Allowed: `size`, `name`"),
        ({"name": "a", "zz": 1}, "", "`zz` is no known key. Allowed: `size`, `name`, `inner`"),
        ({"name": "a", "x" * 5000: 1}, "", f"`{'x' * 200}` is no known key."),
        ({"name": "a", "inner": {"b": {"count": -1}}}, "", "`inner.b.count`: Input should be greater than or equal to 0"),
        ({"name": "a", "inner": {"b": {}}}, "", "`inner.b.count` is missing"),
        ([1], "twins", "`twins`: Input should be an object, found [1]"),
        ([1], "", "Input should be an object, found [1]"),
    ],
)  # fmt: skip
def test_the_first_complaint_is_explained(data, parent, message):
    with pytest.raises(ValidationError) as raised:
        Model.model_validate_json(json.dumps(data))

    assert explain(raised.value, Model, parent).startswith(message)


def test_one_explanation_for_each_key():
    with pytest.raises(ValidationError) as raised:
        Model.model_validate_json('{"size": ["a", "b"], "nam": 1}')

    problems = explain_keys(raised.value, Model)
    assert list(problems) == ["size", "name", "nam"] and problems["name"] == "`name` is missing; give a text"


def test_other_errors_speak_for_themselves():
    assert explain(ValueError("not JSON"), Model) == "not JSON"
