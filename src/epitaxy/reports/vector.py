"""Figures as vector graphics inside a page: they zoom, follow its colours and explain points."""

from __future__ import annotations

import html
import io
import json
import re

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from epitaxy.reports.style import FAINT, INK, MUTED, PALE, SETTINGS, Drawing

VARIABLES = {
    "#ffffff": "card",
    INK: "ink",
    MUTED: "muted",
    PALE: "pale",
    FAINT: "line",
    "#0072b2": "blue",
    "#d55e00": "vermillion",
    "#009e73": "green",
    "#b87700": "amber",
    "#cc79a7": "purple",
    "#56b4e9": "sky",
}
"""Colours of figures -> variables of the page's style, which has a dark form too."""

MOST_POINTS = 3000
"""With more points than this a scatter becomes an image inside the graphic."""

_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_RULES = re.compile(r"\s*<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_BREAK = re.compile(r" *\n(?! *<)")
_FONT = "'DejaVu Sans'"
_IDENTITY = re.compile(r'(\bid="|url\(#|href="#)')
_COLOUR = re.compile(r"(?<=: )#[0-9a-f]{6}")
_TIP = re.compile(r'id="[^"]*?(tip-\d+)"')


def inline_svg(figure: Figure, key: str, label: str) -> Markup:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: what a figure function returned.
        key: letters, digits, ``-`` and ``_``; unique within the page, since identities inside start
            with it.
        label: what the figure shows, for those who do not see it.

    Returns:
        The element: text is text, colours are variables of the page, and what `tip` said stands in
        ``data-tips`` as a list of JSON.
    """
    for axes in figure.axes:
        for collection in axes.collections:
            if np.shape(collection.get_offsets())[0] > MOST_POINTS:
                collection.set_rasterized(True)
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({**SETTINGS, "svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = _RULES.sub("", _METADATA.sub("", text[text.index("<svg") :]))
    text = _BREAK.sub(" ", text.replace(_FONT, "var(--figure-font)"))
    text = _IDENTITY.sub(rf"\g<1>{key}-", text)
    text = _COLOUR.sub(_variable, text.replace('fill="#ffffff"', 'style="fill: #ffffff"'))
    tips = figure.tips if isinstance(figure, Drawing) else {}
    text = _TIP.sub(lambda m: f"{m[0]} data-tips={_quoted(tips[m[1]])}", text)
    width = figure.get_figwidth() * 96
    start = (
        f'<svg viewBox="0 0 {figure.get_figwidth() * 72:g} {figure.get_figheight() * 72:g}" '
        f'role="img" aria-label={_text(label)} style="max-width: {width:.0f}px">'
    )
    # What users wrote was escaped by the writer of the graphic, or here.
    return Markup(start + text.partition(">")[2])  # noqa: S704


def _variable(found: re.Match[str]) -> str:
    name = VARIABLES.get(found[0])
    return f"var(--{name})" if name else found[0]


def _quoted(texts: list[str]) -> str:
    return _text(json.dumps(texts, ensure_ascii=False))


def _text(text: str) -> str:
    return f'"{html.escape(text, quote=True)}"'
