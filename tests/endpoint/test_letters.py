"""Options' probabilities out of a server's lists of tokens, against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import logsumexp, softmax

from modality_interference.endpoint.letters import js_bits, letter_scores


def test_forms_of_a_letter_count_together():
    top = {"B": -0.5, " B": -2.0, "b": -3.0, "Ġb": -4.0, "(A": -1.5, "C.": -6.0, "the": -1.0, "BC": -0.1, "D": -9999.0}
    scores = letter_scores((" B", top), 4)
    own = [-1.5, logsumexp([-0.5, -2, -3, -4]), -6.0, -9999.0]
    assert scores.written == scores.best == 1
    assert scores.log_probabilities == pytest.approx(own)
    assert scores.distribution == pytest.approx(softmax(own))


def test_a_letter_that_is_not_listed_has_no_probability_and_does_not_win():
    scores = letter_scores(("C", {"C": -3.0, "B": -2.0, "x": -1.0}), 4)
    assert scores.log_probabilities == (None, -2.0, -3.0, None)
    assert (scores.written, scores.best, scores.distribution) == (2, 1, None)


@pytest.mark.parametrize(
    "first,options",
    [
        (None, 4),
        (("The", {"The": -0.1, "A": -3.0}), 4),  # no letter was written
        (("E", {"E": -0.1, "A": -3.0}), 4),  # no letter of an option
        (("AB", {"AB": -0.1}), 30),
        (("A", {"A": -0.1}), 27),  # letters of two characters are several tokens
        (("A", {"B": -0.1}), 4),  # a list without what was written
        (("A", {"A": -0.1}), 0),
    ],
)
def test_no_scores(first, options):
    assert letter_scores(first, options) is None


@given(st.data(), st.integers(2, 6))
def test_divergence_against_scipy(data, size):
    rows = st.lists(st.floats(0, 1), min_size=size, max_size=size).filter(lambda row: sum(row) > 1e-3)
    first, second = ([value / sum(row) for value in row] for row in (data.draw(rows), data.draw(rows)))
    expected = jensenshannon(first, second, base=2) ** 2
    assert js_bits(first, second) == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-9)
