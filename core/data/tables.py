"""Tables (CSV) that came with the photos, read whole and within limits: a stranger made them. Torch-free."""

import csv
import io
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.columns import LABEL_LETTERS, Columns
from core.errors import DataError

TABLE_SUFFIXES = frozenset((".csv", ".tsv"))
MOST_BYTES = 64_000_000  # 200,000 rows of 300 letters
MOST_ROWS = 400_000
MOST_COLUMNS = 512
MOST_CELLS = 8_000_000  # about 600 MB of short texts
LINE_LETTERS = 1_000_000  # cutting a line of 50 million commas takes 4 s and 600 MB
CELL_LETTERS = 4_000  # a path has at most so many; longer cells name no file and no class
DELIMITERS = (",", ";", "\t", "|")
SNIFFED_LINES = 20
MOST_TABLES = 20  # in one set
TABLE_DEPTH = 4  # folders


@dataclass(frozen=True)
class Table:
    """The cells of a table, all rows of one length."""

    name: str  # of the file, below the set's root
    rows: tuple[tuple[str, ...], ...]

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0

    def header(self, columns: Columns) -> tuple[str, ...]:
        """The names of the columns: from the first row, or by number."""
        named = self.rows[0] if columns.header and self.rows else ("",) * self.width
        shown = [one_line(name)[:LABEL_LETTERS] for name in named]
        taken: dict[str, int] = {}
        for place, name in enumerate(shown):
            base = name or str(place + 1)
            taken[base] = taken.get(base, 0) + 1
            shown[place] = base if taken[base] == 1 else f"{base} ({taken[base]})"
        return tuple(shown)

    def body(self, columns: Columns) -> tuple[tuple[str, ...], ...]:
        return self.rows[1:] if columns.header else self.rows


def read_table(path: Path, name: str | None = None) -> Table:
    """The table in a file: UTF-8, UTF-16 or Windows' Latin letters; commas, semicolons, tabs or bars between cells.

    Raises:
        DataError: it is too large, isn't a table, or can't be read.
    """
    name = name or path.name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError("tables.too_large", name=name, megabytes=MOST_BYTES // 1_000_000)
        text = decoded(path.read_bytes())
    except OSError:
        raise DataError("tables.unreadable", name=name) from None
    rows: list[tuple[str, ...]] = []
    cells = 0
    try:
        for row in _parsed(text, DataError("tables.too_wide", name=name, most=MOST_COLUMNS)):
            if len(row) > MOST_COLUMNS:
                raise DataError("tables.too_wide", name=name, most=MOST_COLUMNS)
            if not any(cell.strip() for cell in row):
                continue
            rows.append(tuple(row))
            cells += len(row)
            if len(rows) > MOST_ROWS or cells > MOST_CELLS:
                raise DataError("tables.too_long", name=name, most=MOST_ROWS)
    except csv.Error:
        raise DataError("tables.broken", name=name) from None
    width = max(map(len, rows), default=0)
    if not rows:
        raise DataError("tables.empty", name=name)
    if width < 2:
        raise DataError("tables.one_column", name=name)
    if width * len(rows) > MOST_CELLS:
        raise DataError("tables.too_long", name=name, most=MOST_ROWS)
    return Table(name, tuple(row + ("",) * (width - len(row)) for row in rows))


def decoded(data: bytes) -> str:
    """The text of a file whose encoding nobody tells: by its mark, by its zeros, else UTF-8 or Windows' Latin."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    head = data[:400]
    if head.count(0) * 3 > len(head):  # every second byte of Latin letters in UTF-16 is zero
        return data.decode("utf-16-be" if head[:1] == b"\0" else "utf-16-le", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def find_tables(root: Path) -> tuple[str, ...]:
    """The tables below a folder, not deep down and not behind links, as paths below it."""
    found: list[str] = []
    for folder, inner, files in os.walk(root):
        below = Path(folder).relative_to(root)
        if len(below.parts) >= TABLE_DEPTH:
            inner.clear()
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if is_table(name) and not name.startswith(".") and path.is_file() and not path.is_symlink():
                found.append((below / name).as_posix())
                if len(found) == MOST_TABLES:
                    return tuple(found)
    return tuple(found)


def is_table(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in TABLE_SUFFIXES


def _parsed(text: str, too_long: DataError) -> Iterator[list[str]]:
    # csv's own limit is a cell's: one that never ends, for a quotation mark that was never closed, stops there.
    return csv.reader(_lines(text, too_long), delimiter=_delimiter(text), strict=False)


def _lines(text: str, too_long: DataError) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > LINE_LETTERS:
            raise too_long
        yield line


def _delimiter(text: str) -> str:
    """The sign that cuts the first lines into equally many cells, and into most."""
    lines = [line for line in text[:200_000].splitlines()[:SNIFFED_LINES] if line.strip()]
    first, *others = lines or [""]

    def score(sign: str) -> tuple[int, int]:
        count = first.count(sign)
        return sum(line.count(sign) == count for line in others) if count else -1, count

    return max(DELIMITERS, key=score)


def one_line(cell: str) -> str:
    """A cell as a person reads it: no control and no direction characters, blanks once."""
    if cell.isascii() and cell.isprintable():
        return " ".join(cell.split())
    text = unicodedata.normalize("NFC", cell)
    shown = "".join(c if unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" else " " for c in text)
    return " ".join(shown.split())
