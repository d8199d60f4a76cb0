"""The description on a package index: README.md with links that work there. Everything else is in setup.cfg.

A package index shows README.md without the repository, so relative links and images are made absolute, at the tag of the version:
`{url}/blob/v{version}/...` and `{url}/raw/v{version}/...`, with the `url` of setup.cfg. Without one, links become plain text and
images are left out.
"""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup


ROOT = Path(__file__).parent
_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
_ABSOLUTE = re.compile(r"[a-z]+:|#", re.IGNORECASE)


def description(readme: str, url: str | None, version: str) -> str:
    """README.md as a package index shall show it.

    Args:
        readme: its text.
        url: the repository's address; None where it has none.
        version: of the package; its tag in the repository is `v<version>`.
    """
    start, pieces = 0, []
    for block in [*_BLOCK.finditer(readme), None]:  # code stays as it is
        prose = readme[start : block.start() if block else len(readme)]
        pieces += [_LINK.sub(lambda link: _linked(link, url, version), prose), block[0] if block else ""]
        start = block.end() if block else start

    return "".join(pieces)


def _linked(link: re.Match[str], url: str | None, version: str) -> str:
    if _ABSOLUTE.match(link["target"]):
        return link[0]

    if url is None:
        return "" if link["image"] else link["text"]

    kind = "raw" if link["image"] else "blob"
    return f"{link['image']}[{link['text']}]({url.rstrip('/')}/{kind}/v{version}/{link['target']})"


def _metadata() -> tuple[str | None, str]:
    """The repository's address and the version."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    package = (ROOT / "plugin" / "modality_interference" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    return config.get("metadata", "url", fallback=None), version[1] if version else ""


if __name__ == "__main__":
    setup(long_description=description((ROOT / "README.md").read_text(encoding="utf-8"), *_metadata()))
