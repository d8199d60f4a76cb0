"""Fill the page templates: self-contained HTML in which text from data stays text."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import text as wording


SCRIPTS = ("theme.js", "items.js")


def render(template_name: str, **values: Any) -> str:
    """Fill a template of `report/templates`.

    Args:
        template_name: such as `interference.html.j2`.
        **values: what the template names; strings are escaped.

    Returns:
        the page, which fetches nothing from anywhere and runs no script but those of `SCRIPTS`.
    """
    return _environment().get_template(template_name).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("modality_interference.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        script=_script,
        ends=wording.ends,
        compared_with=wording.compared_with,
        stylesheet=Markup(_asset("style.css")),
        content_security_policy=_content_security_policy(),
    )
    environment.filters.update(
        percent=wording.percent,
        bits=wording.bits,
        figure=wording.figure,
        change=wording.change,
        spread=wording.spread,
        counted=wording.counted,
        shortened=wording.shortened,
        breakable=wording.breakable,
        visible=wording.visible,
    )
    return environment


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").strip()


def _script(name: str) -> Markup:
    return Markup(f"<script>{_asset(name)}</script>")


def _content_security_policy() -> str:
    """Nothing from outside, images only from the page itself, scripts only by their hash."""
    digests = (hashlib.sha256(_asset(name).encode()).digest() for name in SCRIPTS)
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; "
        "base-uri 'none'; form-action 'none'"
    )
