"""What a person wrote about a run: its name, a note, and whether it is starred. Torch-free.

It is no part of the run itself: the settings and the events stay as they were written.
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core.errors import RunError
from core.runs import list_runs
from core.runs.store import RunDirectory, RunInfo
from core.workspace import write_atomically

FORMAT = 1
LONGEST_NAME = 80  # characters: one line in a list
LONGEST_TEXT = 4000
# They turn the text around them, in the list beside other names as well. Source: Unicode Standard Annex 9, table 4.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Note:
    """``text`` may have several lines; both texts are the user's and are shown as text only."""

    name: str = ""
    text: str = ""
    starred: bool = False


def read(run: RunDirectory) -> Note:
    """What is noted; nothing where nobody has, or where the file is damaged: a list of runs doesn't end over that."""
    try:
        return _strictly(run)
    except RunError:
        return Note()


def change(run: RunDirectory, *, name: str | None = None, text: str | None = None, starred: bool | None = None) -> Note:
    """Write what is given; the rest stays as it is, also where another tab has changed it meanwhile.

    Raises:
        RunError: the run has been deleted, or its note can't be read and would be lost.
    """
    note = _strictly(run)
    if name is not None:
        note = replace(note, name=_clean(" ".join(name.split()))[:LONGEST_NAME].strip())
    if text is not None:
        note = replace(note, text=_clean(text, keep="\n")[:LONGEST_TEXT].strip())
    if starred is not None:
        note = replace(note, starred=starred)
    data = json.dumps({"format": FORMAT, **asdict(note)}, ensure_ascii=False, indent=1).encode()
    try:
        write_atomically(run.notes, data)
    except FileNotFoundError:
        raise RunError("runs.unknown", run=run.id) from None  # its folder is gone
    return note


def listed(parent: Path) -> list[tuple[RunDirectory, RunInfo, Note]]:
    """Every readable run below ``parent`` with what is noted about it: starred ones first, each newest first."""
    noted = [(run, info, read(run)) for run, info in list_runs(parent)]
    return sorted(noted, key=lambda one: not one[2].starred)  # keeps the order within


def title(info: RunInfo, note: Note) -> str:
    """What the run is called: the name it was given, or that of its photos."""
    return note.name or info.title


def _strictly(run: RunDirectory) -> Note:
    try:
        data: object = json.loads(run.notes.read_text("utf-8"))
    except FileNotFoundError:
        return Note()
    except (OSError, ValueError, RecursionError):
        raise RunError("compare.unreadable_note", run=run.id, file=run.notes.name) from None
    note = _from_json(data)
    if note is None:
        raise RunError("compare.unreadable_note", run=run.id, file=run.notes.name)
    return note


def _from_json(data: object) -> Note | None:
    """None for what isn't ours, or was written by a newer Graft."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        return None
    name, text, starred = data.get("name", ""), data.get("text", ""), data.get("starred", False)
    if not isinstance(name, str) or not isinstance(text, str) or not isinstance(starred, bool):
        return None
    return Note(name, text, starred)


def _clean(text: str, keep: str = "") -> str:
    """Without control characters, halves of characters, and marks that turn the text beside it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in lines if c in keep or not (unicodedata.category(c) in ("Cc", "Cs") or c in TURNING))
