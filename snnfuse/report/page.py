"""A report as one HTML file: nothing in it is fetched, nothing in it runs, and whatever a bundle or a data set named is text."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.hardware.errors import InputError
from snnfuse.report.contents import gather, overflow_counts, picture_of

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render(content: Mapping[str, Any], picture: bytes | None = None) -> str:
    """The page.

    Args:
        content: as of `gather`.
        picture: an SVG file of a search for bit widths, shown as an image, in which no script can run.

    Raises:
        InputError: the content is not what an export writes.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError
    from markupsafe import Markup

    from snnfuse.commands.quantization_tables import LAYER_HEAD, layer_row, overflow_row

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "number": number, "span": span}
    environment.globals |= {"layer_head": LAYER_HEAD, "layer_row": layer_row}
    environment.globals |= {"overflow_row": overflow_row, "overflow_counts": overflow_counts}
    image = None if picture is None else "data:image/svg+xml;base64," + base64.b64encode(picture).decode()
    drawn = content["curves"]
    try:
        template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
        # The curves are drawn here, by a library that escapes what is text in them: the one thing that goes in as it is.
        return template.render(**{**content, "curves": None if drawn is None else Markup(drawn)}, this=content, picture=image)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise InputError(f"{content['name']}: its report.json is not what an export writes: {error}") from error


def whole_page(bundle: "Bundle", name: str) -> str:
    """What an export puts into a bundle: the page without measurements on data; arguments as of `gather`."""
    return render(gather(bundle, name), picture_of(bundle))


def percent(value: float | None) -> str:
    """A share as a percentage with two digits; a dash for None."""
    return "–" if value is None else f"{100 * value:.2f} %"


def number(value: float | None) -> str:
    """To four digits, a dash for None."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def span(values: Any) -> str:
    """Both ends of a range, to three digits; a dash for None."""
    return "–" if values is None else f"{values[0]:.3g} to {values[1]:.3g}"
