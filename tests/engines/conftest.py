"""The mark of the engines' whole table."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "engines: the engines' whole table (run by make test-engines, not by make test)"
    )
