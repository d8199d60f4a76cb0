"""What the tests of pages do in a browser, and with the sentences on them."""

import json
import re
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By


def open_page(chromium: Any, page: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Load a page as a system with that screen and colour scheme shows it, with empty logs."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(page.as_uri())


def requested(chromium: Any) -> list[str]:
    """Addresses that were asked for since the logs were last read, `data:` ones by their first 40 characters."""
    messages = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    found = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url[:40] if url.startswith("data:") else url for url in found]


def shown(chromium: Any, selector: str) -> list[Any]:
    """The elements that a reader sees."""
    return [element for element in chromium.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


def texts(chromium: Any, selector: str) -> list[str]:
    """Their text."""
    return [element.text for element in shown(chromium, selector)]


def overflow(chromium: Any) -> int:
    """By how many pixels the page is wider than the screen."""
    return chromium.execute_script("return document.documentElement.scrollWidth - window.innerWidth")


def background(chromium: Any) -> str:
    """The page's colour."""
    return chromium.execute_script("return getComputedStyle(document.body).backgroundColor")


def plain(sentences: list) -> str:
    """Summary sentences without markup and with ordinary spaces."""
    return re.sub("<[^>]+>", "", " ".join(sentences)).replace("\N{NO-BREAK SPACE}", " ")
