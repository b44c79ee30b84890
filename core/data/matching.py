"""Which photo a row of a table speaks of, and what it says of it. Torch-free.

Whatever stands in a table is a stranger's: names are only looked up among the photos that were found, never opened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.data.columns import LABEL_LETTERS, Columns, guess, is_yes
from core.data.layout import part_of
from core.data.names import collision_key, safe_path
from core.data.report import Part
from core.data.tables import CELL_LETTERS, MOST_TABLES, Table, one_line, read_table
from core.errors import DataError

LISTED = 1_000  # rows without a file that are named; the rest are counted


@dataclass(frozen=True)
class Applied:
    """What a table says of the photos that are there."""

    labels: Mapping[str, str]  # per path; empty where the table has a row for the photo and no class in it
    parts: Mapping[str, Part]
    rows: int  # in the table, without its header
    unmatched: tuple[str, ...]  # what rows call files that aren't there, the first thousand
    unmatched_count: int
    without_row: tuple[str, ...]  # photos that no row names
    torn: tuple[str, ...]  # photos of which two rows say different things: these are not labelled

    @cached_property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({label for label in self.labels.values() if label}))


@dataclass(frozen=True)
class Read:
    """A table that came with photos, how it is read, and what it then says."""

    source: Table
    columns: Columns
    applied: Applied

    @property
    def table(self) -> str:
        return self.source.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.applied.classes

    @property
    def label_name(self) -> str:
        """What the column of classes is called, or the columns."""
        header = self.source.header(self.columns)
        if self.columns.one_hot:
            return f"{header[self.columns.one_hot[0]]} … {header[self.columns.one_hot[-1]]}"
        return header[self.columns.label] if self.columns.label is not None else ""


@dataclass(frozen=True)
class Names:
    """The photos of a set, ready to be found by whatever a table calls them."""

    exact: Mapping[str, str]  # path → path
    tails: Mapping[str, str | None]  # key of the path or its last parts → path; None where that means several
    stems: Mapping[str, str | None]  # likewise without the ending
    folder: str = ""  # of the table: names may be meant from there

    def find(self, cell: str) -> str | None:
        """The one photo that is called this: by its path, the end of it, its name, or its name without ending."""
        wanted = cell.strip().replace("\\", "/")
        if not wanted or len(wanted) > CELL_LETTERS:
            return None
        for name in (f"{self.folder}/{wanted}" if self.folder else wanted, wanted):
            if name in self.exact:
                return name
        key = collision_key(wanted)
        found = self._ending(key)
        if found is None and (safe := safe_path(wanted)) and (other := collision_key(safe)) != key:
            return self._ending(other)  # it came under a name that every system can hold
        return found

    def _ending(self, key: str) -> str | None:
        parts = [part for part in key.split("/") if part not in ("", ".", "..")]
        endings = ["/".join(parts[start:]) for start in range(len(parts))]
        for known in (self.tails, self.stems):
            for ending in endings:
                if (found := known.get(ending)) is not None:
                    return found
        return None


def best(root: Path, names: Iterable[str], paths: Sequence[str]) -> Read | None:
    """Of the tables below ``root``, the one that says most of these photos; None if none says what any shows."""
    found = [read for name in sorted(names)[:MOST_TABLES] if (read := guessed(root, name, paths)) is not None]
    rated = [(len(read.classes) > 1, sum(map(bool, read.applied.labels.values())), read) for read in found]
    told = [row for row in rated if row[1]]
    return max(told, key=lambda row: row[:2])[2] if told else None


def guessed(root: Path, name: str, paths: Sequence[str]) -> Read | None:
    """A table read by the columns that are most likely; None if it isn't a table of these photos."""
    try:
        table = read_table(root / name, name)
    except DataError:
        return None
    columns = guess_columns(table, paths)
    return None if columns is None else Read(table, columns, apply(table, columns, paths))


def guess_columns(table: Table, paths: Sequence[str]) -> Columns | None:
    """How the table is most likely meant; None if no column names photos that are there."""
    return guess(table.rows, index(paths, table.name).find, len(paths))


def index(paths: Iterable[str], table: str = "") -> Names:
    """The photos by every name that a table may call them. ``table`` is the table's own path."""
    exact: dict[str, str] = {}
    tails: dict[str, str | None] = {}
    stems: dict[str, str | None] = {}
    for path in paths:
        exact[path] = path
        parts = collision_key(path).split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            _note(tails, tail, path)
            stem, dot, _ = tail.rpartition(".")
            if dot and stem:
                _note(stems, stem, path)
    return Names(exact, tails, stems, table.rpartition("/")[0])


def apply(table: Table, columns: Columns, paths: Sequence[str]) -> Applied:
    """What the table says of these photos, read by these columns."""
    names = index(paths, table.name)
    labels: dict[str, str] = {}
    parts: dict[str, Part] = {}
    torn: set[str] = set()
    unmatched: list[str] = []
    count = 0
    body = table.body(columns)
    for row in body:
        path = names.find(row[columns.file])
        if path is None:
            count += 1
            if len(unmatched) < LISTED:
                unmatched.append(one_line(row[columns.file])[:200])
            continue
        label = label_of(row, columns, table)
        if labels.setdefault(path, label) != label:
            torn.add(path)
        if (part := given_part(row, columns)) is not None:
            parts[path] = part
    for path in torn:
        labels[path] = ""
    missing = tuple(path for path in paths if path not in labels)
    return Applied(labels, parts, len(body), tuple(unmatched), count, missing, tuple(sorted(torn)))


def label_of(row: Sequence[str], columns: Columns, table: Table) -> str:
    """The class that a row says; empty for none, or where several columns say one each."""
    if columns.one_hot:
        said = [column for column in columns.one_hot if is_yes(row[column])]
        return table.header(columns)[said[0]] if len(said) == 1 else ""
    return one_line(row[columns.label])[:LABEL_LETTERS].strip() if columns.label is not None else ""


def given_part(row: Sequence[str], columns: Columns) -> Part | None:
    if columns.part is None:
        return None
    cell = row[columns.part].strip()
    return columns.part_when.get(cell.casefold()) if columns.part_when else part_of(cell)


def values(table: Table, columns: Columns, paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """column → path → value, for every other column that could keep photos together."""
    names = index(paths, table.name)
    header = table.header(columns)
    found: dict[str, dict[str, str]] = {header[column]: {} for column in columns.others}
    for row in table.body(columns):
        if (path := names.find(row[columns.file])) is None:
            continue
        for column in columns.others:
            if cell := one_line(row[column])[:LABEL_LETTERS]:
                found[header[column]][path] = cell
    return found


def _note(known: dict[str, str | None], key: str, path: str) -> None:
    known[key] = path if known.get(key, path) == path else None
