"""Parts of benchmarks/README.md: from what was measured to Markdown, an empty text where nothing was."""


def met(reached: bool) -> str:
    return "met" if reached else "**not met**"


def where(found: dict) -> str:
    machine = found["machine"]
    return f"{machine['processor']}, {machine['cores']} cores, {machine['date']}."


def table(head: str, rows: list[str]) -> str:
    """``head`` and each row are cells between ``|``."""
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows])
