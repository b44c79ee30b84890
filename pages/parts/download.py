"""A model to take along: the bundle is made and checked in the background, and only then offered."""

import math

import streamlit as st

from core import background
from core.background import Known
from core.export.made import ExportFolder, Made
from core.export.parity import LIMIT, Parity
from core.export.samples import MOST_SAMPLES
from core.runs import RunDirectory
from core.serve import bundle_worker
from core.words import say
from pages.parts import charts, panels, state
from pages.server.bundles import bundle_address
from pages.server.routes import PREFIX

POLL_SECONDS = 0.7
# What the files of a bundle are, by their names; the rest is data.
KINDS = {
    "model.safetensors": "weights", "model.onnx": "onnx", "model.pt2": "program", "known.safetensors": "known",
    "index.html": "page", "predict.py": "predict", "verify.py": "verify", "README.md": "card",
}  # fmt: skip


def panel(run: RunDirectory) -> None:
    """Everything from the button that makes a bundle to its download."""
    folder = ExportFolder(run)
    st.subheader(say("download.title"), anchor=False)
    st.markdown(say("download.what"))
    made = folder.made()
    if background.is_working(folder):
        _working(folder)
    else:
        _make(folder, made, background.watch(folder))
    if made is not None:
        _offer(folder, made)


@st.fragment(run_every=POLL_SECONDS)
def _working(folder: ExportFolder) -> None:
    """How far it is; the page is drawn again when it has ended."""
    known = background.watch(folder)
    if known.status != "working":
        st.rerun()
    step = str(known.told.get("phase", "network"))
    step = step if step in bundle_worker.BEGINS else "network"
    done, total = int(known.told.get("done", 0)), int(known.told.get("total", 0))
    words = say(f"export.step.{step}")
    text = say("download.working", step=words[:1].upper() + words[1:])
    st.progress(bundle_worker.share(step, done, total), text=text)
    st.button(
        say("download.stop"), key="download_stop", icon=":material/stop_circle:", on_click=background.stop,
        args=(folder,),
    )  # fmt: skip


def _make(folder: ExportFolder, made: Made | None, known: Known) -> None:
    """What ended the last attempt, if it didn't end well, and the button for the next."""
    fresh = made is not None and made.of == folder.stamp()
    if known.status == "failed" and known.error is not None:
        panels.error_box(known.error)
    elif known.status == "stopped":
        st.info(say("download.stopped"), icon=":material/pause_circle:")
    elif known.status == "lost":
        st.warning(say("download.lost"), icon=":material/warning:")
        if known.log:
            with st.expander(say("download.log")):
                st.code(known.log, language=None)
    if made is not None and not fresh:
        st.warning(say("download.stale", when=panels.moment(made.at)), icon=":material/warning:")
    divided = folder.run.split()
    with_photos = bool(divided.test or divided.val) and st.checkbox(  # an imported run has none
        say("download.with_photos"), key="download_photos", help=say("download.with_photos_help", most=MOST_SAMPLES)
    )
    st.button(
        say("download.make" if made is None else "download.again"), key="download_make", icon=":material/package_2:",
        type="secondary" if fresh else "primary", on_click=_start, args=(folder, with_photos),
    )  # fmt: skip


def _start(folder: ExportFolder, with_photos: bool) -> None:
    """A callback, so that nothing breaks it off."""
    bundle_worker.start(folder, with_photos=with_photos)


# The bundle that is there


def _offer(folder: ExportFolder, made: Made) -> None:
    with st.container(border=True, key="bundle"):
        if made.of == folder.stamp():
            st.markdown(say("download.made", when=panels.moment(made.at)))
        _parity(made.parity)
        address = bundle_address(PREFIX, state.workspace(), folder.run)
        size = panels.megabytes(made.file.stat().st_size)
        st.link_button(say("download.get", size=size), address, icon=":material/download:")
        with st.expander(say("download.contents")):
            st.dataframe(_contents(made), hide_index=True, key="bundle_contents")
        with st.expander(say("download.how")):
            st.markdown(say("download.how_text"))


def _parity(parity: Parity) -> None:
    """The check in words, then form by form, and what the bundle goes without."""
    forms = list(parity.forms.values())
    if not forms:
        return
    photos = max(form.photos for form in forms)
    largest = max(form.largest_difference for form in forms)
    st.success(say("download.same", n=photos), icon=":material/verified:")
    counts = {"own": parity.photos, "drawn": parity.drawn, "bundled": photos - parity.photos - parity.drawn}
    told = [say(f"download.pictures.{name}", n=n) for name, n in counts.items() if n > 0]
    st.markdown(
        panels.shown("download.checked", pictures=charts.listed(told), largest=_small(largest), limit=f"{LIMIT:g}")
    )
    rows = [
        {
            say("download.column.form"): say(f"download.form.{name}"),
            say("download.column.photos"): form.photos,
            say("download.column.same"): min(form.same_top1, form.same_unknown),
            say("download.column.difference"): _small(form.largest_difference),
        }
        for name, form in parity.forms.items()
    ]
    st.dataframe(rows, hide_index=True, key="bundle_parity")
    for why in parity.left_out.values():
        message = panels.shown(f"{why.key}.message", **why.values)
        st.info(f"{message} {panels.shown(f'{why.key}.hint', **why.values)}", icon=":material/info:")


def _small(value: float) -> str:
    """``0.0000009``: rounded up to one digit that isn't 0, for those to whom 8.6e-07 is a riddle."""
    if not value:
        return "0"
    digits = max(1, -math.floor(math.log10(value)))
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}"


def _contents(made: Made) -> list[dict[str, str]]:
    """The files with what they are; pictures together."""
    pictures = [size for name, size in made.contents if name.startswith("samples/")]
    rows = [
        (name, say(f"download.file.{KINDS.get(name, 'data')}"), size)
        for name, size in made.contents
        if not name.startswith("samples/")
    ]
    if pictures:
        rows.append(("samples/", say("download.file.samples", n=len(pictures)), sum(pictures)))
    return [
        {
            say("download.column.file"): name,
            say("download.column.what"): what,
            say("download.column.size"): panels.megabytes(size),
        }
        for name, what, size in sorted(rows, key=lambda row: -row[2])
    ]
