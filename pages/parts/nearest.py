"""The training photos that are most like a photo to the network: "it looks like these"."""

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.runs import RunDirectory
from core.words import say
from pages.parts import panels

if TYPE_CHECKING:  # it brings torch along
    from core.inference.unknown import Near

SIDE = 160  # pixels of a picture
WIDTH = 120  # pixels that it is shown with


def show(run: RunDirectory, near: "tuple[Near, ...]") -> None:
    """The training photos that are still there; of the others only how many they are."""
    root, hashes = _training_photos(str(run.path), (run.path / "split.json").stat().st_mtime_ns)
    pictures: list[bytes] = []
    shown: list[Near] = []
    for one in near:
        # A thumbnail outlives its photo; who deleted the photo doesn't want to see it here.
        there = one.path in hashes and (Path(root) / one.path).is_file()
        picture = panels.picture(root, one.path, hashes[one.path], SIDE) if there else None
        if picture is not None:
            pictures.append(picture)
            shown.append(one)
    if pictures:
        told = [{"label": one.label, "likeness": f"{one.likeness:.2f}", "path": one.path} for one in shown]
        st.image(
            pictures,
            caption=[panels.shown("unknown.likeness", label=row["label"], likeness=row["likeness"]) for row in told],
            alt=[say("unknown.near_alt", **row) for row in told],
            width=WIDTH,
        )
        st.caption(say("unknown.near_help"))
    if gone := len(near) - len(shown):
        st.caption(say("unknown.near_gone", n=gone))


@st.cache_resource(max_entries=4, show_spinner=False)
def _training_photos(path: str, changed: int) -> tuple[str, dict[str, str]]:
    """The folder of a run's training photos, and each one's hash by its path. Shared, and never changed."""
    del changed
    split = RunDirectory(Path(path)).split()
    return split.root_of("train"), {sample.path: sample.sha256 for sample in (*split.train, *split.val)}
