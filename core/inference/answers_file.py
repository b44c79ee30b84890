"""What is kept of each photo's answer: a JSON line for programs, a row of a table (CSV) for people. Torch-free."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import DataError

if TYPE_CHECKING:  # the predictor brings torch along
    from core.inference.predictor import Prediction

TOP = 5  # classes that an answer names
DIGITS = 6  # of a probability in a table; 32 bits hold no more
COLUMNS = ("path", "label", "confidence", "second", "second_confidence", "unknown", "error")
# A spreadsheet takes a cell that begins like this for a formula and runs it. Excel cuts lines at ";" in some countries
# and at "," in others, so what follows one inside a cell may become the beginning of another.
# Source: OWASP, CSV Injection; the wide forms are what East Asian keyboards write.
_FORMULA = re.compile(r"(^|[,;\t\r\n])([^\S\t\r\n]*)(?=[=+\-@＝＋－＠])")
_KEPT_CONTROLS = ("\t", "\r", "\n")


@dataclass(frozen=True)
class PhotoAnswer:
    """The likeliest classes of one photo, the first first, or why there is no answer."""

    path: str  # the name the photo is known by
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    unknown: bool = False  # unlike everything the model learnt from: what ``top`` says of it is a guess

    @classmethod
    def of(cls, path: str, prediction: "Prediction") -> "PhotoAnswer":
        return cls(path, prediction.top[:TOP], unknown=prediction.unknown)

    @property
    def label(self) -> str | None:
        return self.top[0][0] if self.top else None

    @property
    def confidence(self) -> float | None:
        return self.top[0][1] if self.top else None

    def to_json(self) -> dict[str, Any]:
        top = [{"label": label, "confidence": chance} for label, chance in self.top]
        told = {
            "path": self.path,
            "label": self.label,
            "confidence": self.confidence,
            "unknown": self.unknown,
            "top": top,
        }
        return told if self.error is None else {**told, "error": self.error}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PhotoAnswer":
        top = tuple((row["label"], row["confidence"]) for row in data["top"])
        return cls(data["path"], top, data.get("error"), bool(data.get("unknown", False)))

    def cells(self) -> list[str | float]:
        """One row of the table, its texts made safe."""
        row: list[str | float] = [safe_cell(self.path)]
        for label, chance in (*self.top[:2], ("", ""), ("", ""))[:2]:
            row += [safe_cell(label), round(chance, DIGITS) if isinstance(chance, float) else ""]
        unknown = "" if self.label is None else str(self.unknown).lower()
        return [*row, unknown, safe_cell(self.error or "")]


def safe_cell(text: str) -> str:
    """A stranger's text as a cell that no spreadsheet runs: an apostrophe goes before whatever begins a formula.

    Control characters become "�"; names that aren't UTF-8 show "�" for each byte that can't be read.
    """
    text = "".join("�" if _is_unprintable(letter) else letter for letter in text)
    text = _FORMULA.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(_KEPT_CONTROLS) else text


def csv_text(answers: Iterable[PhotoAnswer]) -> str:
    """The whole table as a text."""
    file = io.StringIO(newline="")
    write = csv.writer(file).writerow
    write(COLUMNS)
    for answer in answers:
        write(answer.cells())
    return file.getvalue()


@contextmanager
def table_at(path: Path | None) -> Generator[Callable[[PhotoAnswer], object], None, None]:
    """A function that adds one answer to a table, which appears at ``path`` once the block has ended well.

    UTF-8 with the mark by which Excel knows it. Without a path nothing is written.

    Raises:
        DataError: there is something at ``path``, or no folder to write into.
    """
    if path is None:
        yield lambda answer: None
        return
    _check_free(path)
    temporary = path.with_name(f".{path.name[:80]}.{os.getpid()}.tmp")
    with _refused(path):
        file = temporary.open("x", encoding="utf-8-sig", newline="")
    try:
        write = csv.writer(file).writerow
        write(COLUMNS)

        def add(answer: PhotoAnswer) -> None:
            with _refused(path):
                write(answer.cells())

        yield add
        with _refused(path):
            file.close()
            _check_free(path)  # a long time may have passed
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            file.close()
        temporary.unlink(missing_ok=True)


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise DataError("many.csv_exists", file=str(path))
    if not path.parent.is_dir():
        raise DataError("many.csv_no_folder", file=str(path), folder=str(path.parent))


@contextmanager
def _refused(path: Path) -> Generator[None, None, None]:
    """The disk's own refusals, in words."""
    try:
        yield
    except OSError as error:
        raise DataError("many.csv_refused", file=str(path), problem=error.strerror or type(error).__name__) from error


def _is_unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs") and letter not in _KEPT_CONTROLS
