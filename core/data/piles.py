"""Photos brought class by class: each a folder of an upload, to be taken out again and put back. Torch-free."""

import contextlib
import json
import os
import shutil
import unicodedata
from collections import Counter

from core.data import intake
from core.data.filetypes import is_litter
from core.data.intake import Upload
from core.data.journal import Received, journal_of
from core.data.layout import Place, find_layout
from core.data.names import collision_key, safe_path
from core.data.store import NAME_LETTERS, clean_name
from core.errors import DataError
from core.workspace import below, make_directory, write_atomically

NOT_IN_NAMES = "/\\"  # they would make folders


def folder_for(typed: str, known: tuple[str, ...] = ()) -> str:
    """The folder of the class that somebody typed: one that is there, however it is spelt, or a new one.

    Raises:
        DataError: no folder can be called that, or it wouldn't be taken for a class.
    """
    name = clean_name(typed)
    if not name:
        raise DataError("ways.no_name")
    if len(typed.strip()) > NAME_LETTERS:
        raise DataError("ways.long_name", name=name[:NAME_LETTERS], most=NAME_LETTERS)
    if any(sign in name for sign in NOT_IN_NAMES) or safe_path(name) != unicodedata.normalize("NFC", name):
        raise DataError("ways.bad_name", name=name)
    name = unicodedata.normalize("NFC", name)
    if name.startswith(".") or is_litter((name,)) or _meaning([(name, "1"), ("a", "1"), ("b", "1")]) != name:
        raise DataError("ways.not_a_class", name=name)
    return next((label for label in known if collision_key(label) == collision_key(name)), name)


def check(labels: tuple[str, ...]) -> None:
    """Raises DataError if these folders together would mean something else than a class each."""
    paths = [(label, "1") for label in labels]
    if wrong := next((path[0] for path in paths if _meaning([path, *paths]) != path[0]), None):
        raise DataError("ways.not_a_class", name=wrong)


def _meaning(paths: list[tuple[str, ...]]) -> str | None:
    """The class of the first of these."""
    place = find_layout(sorted(set(paths))).place(paths[0])
    return place.label if isinstance(place, Place) else None


def add_class(upload: Upload, typed: str) -> str:
    """A folder for photos of a class, or the one that is there; returns its name. Raises DataError."""
    name = folder_for(typed, tuple(classes(upload)))
    (upload.photos / name).mkdir(exist_ok=True)
    return name


def classes(upload: Upload) -> dict[str, int]:
    """Every class and how many photos of it have arrived."""
    journal = journal_of(upload.folder)
    with journal.lock:
        counted = Counter(file.path.split("/")[0] for file in journal.received)
    with os.scandir(upload.photos) as entries:
        names = sorted((entry.name for entry in entries if entry.is_dir()), key=lambda name: (name.casefold(), name))
    return {name: counted[name] for name in names}


def arrived_in(upload: Upload, folder: str) -> tuple[Received, ...]:
    """The photos of one class, in the order of arrival."""
    return tuple(file for file in intake.arrived(upload) if file.path.startswith(f"{folder}/"))


def without_empty(upload: Upload) -> tuple[str, ...]:
    """Remove the folders of classes without photos; returns the others. Raises DataError: see ``check``."""
    filled = tuple(name for name, count in classes(upload).items() if count)
    check(filled)
    for name in classes(upload):
        with contextlib.suppress(OSError):  # something has just arrived in it
            (upload.photos / name).rmdir()
    return filled


def remove_class(upload: Upload, folder: str) -> None:
    """Take a class out again, as if its photos had never come. They stay on the disk until the upload is used."""
    if folder not in classes(upload):
        raise DataError("ways.no_class", name=folder[:NAME_LETTERS])
    _, into = make_directory(upload.folder / "removed")
    write_atomically(into / "class.json", json.dumps({"class": folder}).encode())
    journal_of(upload.folder).withdraw(folder, into / "photos")


def removed_classes(upload: Upload) -> dict[str, tuple[str, int]]:
    """id → the class and how many photos of it were taken out, newest first."""
    found: dict[str, tuple[str, int]] = {}
    for file in sorted((upload.folder / "removed").glob("*/class.json"), reverse=True):
        if (file.parent / "photos").is_dir():
            name = str(json.loads(file.read_bytes()).get("class", ""))
            if count := sum(len(files) for _, _, files in os.walk(file.parent / "photos")):
                found[file.parent.name] = (name, count)
    return found


def bring_back_class(upload: Upload, identifier: str) -> None:
    """Put back what was taken out, beside what has come under that name meanwhile."""
    folder = below(upload.folder / "removed", identifier)
    name = str(json.loads((folder / "class.json").read_bytes())["class"])
    journal_of(upload.folder).put_back(folder / "photos", name)
    shutil.rmtree(folder)
