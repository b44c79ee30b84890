"""Which column of a table names the file, which the class, which the part: guessed from what stands in them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from core.data.layout import part_of
from core.data.report import Part

SAMPLED_ROWS = 2_000
JUDGED_ROWS = 50_000  # of photos that are there: what stands in a column shows long before
MATCHING = 0.5  # of the rows, or of the photos: what it takes to believe that a column names files
REPEATED = 2  # rows a class on average: fewer, and the column tells the photos apart, not classes
MOST_CLASSES = 5_000
LABEL_LETTERS = 80
SURE_LABELS = ("label", "labels", "class", "classes", "classname", "category", "target", "species", "breed", "y")
LIKELY_LABELS = (
    "diagnosis",
    "dx",
    "type",
    "kind",
    "name",
    "classid",
    "categoryid",
    "labelid",
    "tag",
    "tags",
    "groundtruth",
)
PARTS = ("split", "part", "set", "subset", "partition", "fold", "usage", "dataset", "phase")
FLAGS: Mapping[str, Part] = {"isvalid": "val", "isval": "val", "valid": "val", "istest": "test"}
_YES, _NO = frozenset(("1", "1.0", "true", "yes")), frozenset(("0", "0.0", "false", "no", ""))


@dataclass(frozen=True)
class Columns:
    """How a table is read: columns by their place."""

    file: int
    label: int | None = None
    part: int | None = None
    one_hot: tuple[int, ...] = ()  # one column a class, 1 in the one that holds
    others: tuple[int, ...] = ()  # what else is there to keep photos together by
    header: bool = True  # the first row names the columns
    part_when: Mapping[str, Part] = field(default_factory=dict[str, Part])  # of a column of yes and no: what each means


def guess(rows: Sequence[Sequence[str]], find: Callable[[str], str | None], photos: int) -> Columns | None:
    """How the table is most likely meant; None if no column names photos that are there.

    ``find`` gives the photo that a cell names, if it names one; ``photos`` is how many there are.
    """
    if not rows:
        return None
    sample = rows[1 : SAMPLED_ROWS + 1] or rows[:1]
    matched = [sum(find(row[column]) is not None for row in sample) for column in range(len(rows[0]))]
    file = max(range(len(matched)), key=lambda column: (matched[column], -column))
    if matched[file] == 0 or matched[file] < MATCHING * min(len(sample), max(1, photos)):
        return None
    header = find(rows[0][file]) is None
    names = [_plain(name) if header else "" for name in rows[0]]
    body = list(islice((row for row in rows[1 if header else 0 :] if find(row[file]) is not None), JUDGED_ROWS))
    rest = [column for column in range(len(names)) if column != file and any(row[column].strip() for row in body)]
    part, when = _part_column(names, body, rest)
    rest = [column for column in rest if column != part]
    label = _label_column(names, body, rest)
    one_hot = _one_hot(body, rest) if header and (label is None or names[label] not in SURE_LABELS) else ()
    label = None if one_hot else label
    others = tuple(column for column in rest if column != label and column not in one_hot)
    return Columns(file, label, part, one_hot, others, header, when)


def _part_column(
    names: Sequence[str], body: Sequence[Sequence[str]], rest: Sequence[int]
) -> tuple[int | None, Mapping[str, Part]]:
    for column in sorted(rest, key=lambda column: names[column] not in PARTS):
        found = {row[column].strip().casefold() for row in body}
        if found <= {"", *_known_parts(found)} and (len(found - {""}) > 1 or names[column] in PARTS):
            return column, {}
        if (meant := FLAGS.get(names[column])) and found <= _YES | _NO and found & _YES:
            return column, {cell: meant if cell in _YES else "train" for cell in found}
    return None, {}


def _known_parts(cells: set[str]) -> set[str]:
    return {cell for cell in cells if part_of(cell)}


def _label_column(names: Sequence[str], body: Sequence[Sequence[str]], rest: Sequence[int]) -> int | None:
    """The column with a label's name, else the one of few, repeated words that comes first; numbers come last."""

    def merit(column: int) -> tuple[int, int, int] | None:
        cells = [row[column].strip() for row in body]
        distinct = {cell for cell in cells if cell}
        named = 2 if names[column] in SURE_LABELS else 1 if names[column] in LIKELY_LABELS else 0
        if not distinct or len(distinct) > MOST_CLASSES or max(map(len, distinct)) > LABEL_LETTERS:
            return None
        if len(distinct) * REPEATED > len(cells) and not (named and len(distinct) < len(cells)) and len(cells) > 2:
            return None
        numbers = all(_is_number(cell) for cell in distinct)
        return named, (len(distinct) > 1) + (not numbers), -column

    rated = [(found, column) for column in rest if (found := merit(column)) is not None]
    return max(rated)[1] if rated else None


def _one_hot(body: Sequence[Sequence[str]], rest: Sequence[int]) -> tuple[int, ...]:
    """Columns of 0 and 1 of which each row has exactly one 1."""
    flags = [c for c in rest if all(row[c].strip().casefold() in _YES | _NO for row in body)]
    if len(flags) < 2:
        return ()
    once = sum(sum(is_yes(row[c]) for c in flags) == 1 for row in body)
    return tuple(flags) if once >= 0.99 * len(body) else ()


def is_yes(cell: str) -> bool:
    return cell.strip().casefold() in _YES


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
