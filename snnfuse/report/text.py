"""A report as text for a terminal."""

from snnfuse.report.rows import Json
from snnfuse.report.sections import Section, Table, sections_of, warnings_of
from snnfuse.report.tables import table, wrapped_table


def summary(content: Json) -> str:
    """What an export prints: every stage, then the whole; content as of `snnfuse.report.sections`."""
    stages = content.get("stages") or []
    parts = [part for i, stage in enumerate(stages) for part in (f"stage {i + 1} of {len(stages)}", summary(stage))]
    parts += [text for section in sections_of(content).values() if (text := brief(section))]
    return "\n".join([*parts, *(f"warning: {text}" for text in warnings_of(content))])


def brief(section: Section) -> str:
    """What an export prints of a section."""
    return show(section) if section.brief is None else section.brief


def show(section: Section) -> str:
    """A whole section."""
    return "\n".join([*section.lines, *map(_table, section.tables), *section.notes])


def _table(made: Table) -> str:
    if made.wrapped:
        return wrapped_table(made.title, made.head, made.rows)
    return "\n".join([*([made.title] if made.title else []), table(made.head, made.rows)])
