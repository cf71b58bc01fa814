"""A report as one HTML file: nothing in it is fetched, nothing in it runs, and whatever a bundle or a data set named is text."""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snnfuse.hardware.errors import InputError
from snnfuse.report import rows
from snnfuse.report.contents import gather, picture_of
from snnfuse.report.drawing import NONE, Pictures, pictures_of
from snnfuse.report.screen import answers
from snnfuse.report.sections import sections_of, warnings_of

if TYPE_CHECKING:
    from snnfuse.export.bundle.bundle import Bundle

TEMPLATE = Path(__file__).with_name("page.html.j2")


def render(content: Mapping[str, Any], picture: bytes | None = None, pictures: Pictures = NONE) -> str:
    """The page.

    Args:
        content: as of `gather`.
        picture: an SVG file of a search for bit widths, shown as an image, in which no script can run.
        pictures: shown as images too.

    Raises:
        InputError: the content is not what an export writes.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": rows.percent, "number": rows.number, "span": rows.span}
    environment.globals |= {
        "answers": answers,
        "declared": rows.declared,
        "unique": _unique(),
        "overflow_counts": rows.overflow_counts,
        "sections_of": sections_of,
        "warnings_of": warnings_of,
    }
    image = None if picture is None else _image(picture)
    images = [{"of": each, "source": _image(each.svg.encode())} for each in pictures.drawn]
    drawn = content["curves"]
    try:
        template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
        # The curves are drawn here, by a library that escapes what is text in them: the one thing that goes in as it is.
        return template.render(
            **{**content, "curves": None if drawn is None else Markup(drawn)},
            this=content,
            picture=image,
            images=images,
            no_pictures=pictures.missing,
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise InputError(f"{content['name']}: its report.json is not what an export writes: {error}") from error


def _unique() -> Callable[[str], str]:
    """What numbers labels that were given before, so that a screen reader tells regions apart."""
    seen = Counter[str]()

    def unique(label: str) -> str:
        seen[label] += 1
        return label if seen[label] == 1 else f"{label} ({seen[label]})"

    return unique


def _image(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def whole_page(bundle: "Bundle", name: str) -> str:
    """What an export puts into a bundle: the page without measurements on data; arguments as of `gather`."""
    content = gather(bundle, name)
    return render(content, picture_of(bundle), pictures_of(bundle, content))
