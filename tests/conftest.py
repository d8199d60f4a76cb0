"""Fixtures shared by all tests."""

import gc
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads on two busy cores are slower than one
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module", autouse=True)
def no_decoders_of_other_files() -> None:
    """See `compat.collect_decoders`; without it, a fork in one test file may collect the containers of another and hang."""
    gc.collect()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Tiny random model of a family, built once."""
    from helpers.tiny_models import build

    folder = tmp_path_factory.mktemp("models")
    return lambda family: build(family, folder)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset_dir of `runs.write_datasets`."""
    from helpers.runs import write_datasets

    return write_datasets(tmp_path_factory.mktemp("data"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """In CI, which installs all system packages, a test that skips for want of one fails."""
    report = yield
    if report.skipped and os.environ.get("CI") and "apt-get install" in str(report.longrepr):
        report.outcome = "failed"

    return report


@pytest.fixture
def unpacked_4bit_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bitsandbytes compute on a processor with AVX512-BF16 as on others.

    There it packs weights for inference in blocks of 32 rows and 64 columns, which the layers of tiny models do not fill.
    """
    monkeypatch.setattr(pytest.importorskip("bitsandbytes").nn.modules, "has_avx512bf16", lambda: False)


@pytest.fixture
def warnings():
    """The texts of LLaMA-Factory's warnings; its logger does not pass them on to pytest's."""
    texts: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                texts.append(record.getMessage())

    handler = Keep()
    logging.getLogger("llamafactory").addHandler(handler)
    yield texts
    logging.getLogger("llamafactory").removeHandler(handler)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A real headless Chromium, with a window of 1280 x 900; its logs hold the console and every request."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")

    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(argument)

    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))  # named, so that nothing is downloaded
    yield running
    running.quit()
