"""What the network will see: some training photos as they are, changed, and as numbers, by the run's own functions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.config import Normalization, TrainConfig
from core.data.image import UnusablePhoto
from core.data.pixels import square
from core.data.report import Sample, Split
from core.models import registry
from core.models.registry import Backbone, Preprocessing
from core.words import say
from pages.parts import panels

PHOTOS = 3
VERSIONS = 4  # of each photo, the plain one among them
WIDTH = 150  # pixels on the page; the pictures have as many as the network gets
COLOURS = ("red", "green", "blue")
ROWS = ("mean", "std", "smallest", "largest")
Picture = NDArray[np.uint8]  # (side, side, 3)


@dataclass(frozen=True)
class Seen:
    """One photo: its versions, the plain one first, and that one's numbers stretched to what an eye can see."""

    name: str
    versions: tuple[Picture, ...]
    numbers: Picture


@dataclass(frozen=True)
class View:
    photos: tuple[Seen, ...]
    preprocessing: Preprocessing
    table: dict[str, tuple[float, ...]]  # by row, for red, green and blue: over all photos, plain


def show(config: TrainConfig, backbone: Backbone, divided: Split) -> None:
    """Drawn only while it is open; the first look imports torch."""
    place = st.expander(say("model.preview.title"), icon=":material/visibility:", key="preview", on_change="rerun")
    if not place.open:
        return
    with place:
        root = Path(divided.root_of("train"))
        files = tuple((str(root / sample.path), sample.sha256) for sample in _some(divided))
        with st.spinner(say("model.preview.working"), show_time=True):
            view = _view(files, backbone.name, config.augment, config.normalization)
        if not view.photos:
            st.info(say("model.preview.none"), icon=":material/broken_image:")
            return
        _draw(view, config)


def _some(divided: Split) -> list[Sample]:
    """Of each class the first training photo, then the second ones."""
    seen: dict[int, int] = {}
    turns: list[tuple[int, int]] = []
    for place, sample in enumerate(divided.train):
        turns.append((seen.get(sample.target, 0), place))
        seen[sample.target] = seen.get(sample.target, 0) + 1
    return [divided.train[place] for _, place in sorted(turns)[:PHOTOS]]


@st.cache_data(max_entries=16, show_spinner=False)
def _view(files: tuple[tuple[str, str], ...], backbone: str, augment: str, normalization: Normalization) -> View:
    from core.models.build import with_normalization

    wanted = with_normalization(registry.backbone(backbone), normalization).preprocessing
    squares: dict[tuple[str, str], Picture] = {}
    for path, sha256 in files:
        try:
            squares[Path(path).name, sha256] = square(Path(path), wanted.resize, wanted.interpolation)
        except (UnusablePhoto, OSError):
            continue  # gone or broken since the scan
    if not squares:
        return View((), wanted, {})
    return _looked_at(squares, wanted, augment)


def _looked_at(squares: dict[tuple[str, str], Picture], wanted: Preprocessing, augment: str) -> View:
    """Torch is imported here, at the first look, and not before. Versions are drawn by a photo's hash, as in a run."""
    import torch

    from core.training.augment import distinct_views, kept_view
    from core.training.frozen import normalised

    hashes = [sha256 for _, sha256 in squares]
    batch = torch.from_numpy(np.stack(list(squares.values()))).permute(0, 3, 1, 2)
    versions = [
        kept_view(batch, wanted.crop, augment, hashes, view) for view in range(distinct_views(augment, VERSIONS))
    ]
    numbers = normalised(versions[0], wanted)
    low, high = numbers.min(), numbers.max()
    visible = ((numbers - low) / (high - low).clamp(min=1e-6) * 255).round().to(torch.uint8)
    by_colour = numbers.permute(1, 0, 2, 3).flatten(1)
    measured = (by_colour.mean(1), by_colour.std(1), by_colour.amin(1), by_colour.amax(1))
    photos = tuple(
        Seen(name, tuple(_picture(version[place]) for version in versions), _picture(visible[place]))
        for place, (name, _) in enumerate(squares)
    )
    return View(photos, wanted, {row: tuple(told.tolist()) for row, told in zip(ROWS, measured, strict=True)})


def _picture(pixels: "torch.Tensor") -> Picture:  # type: ignore[name-defined]  # noqa: F821
    return pixels.permute(1, 2, 0).contiguous().numpy()


def _draw(view: View, config: TrainConfig) -> None:
    changed = len(view.photos[0].versions) > 1
    st.markdown(say("model.preview.pixels" if changed else "model.preview.unchanged", crop=view.preprocessing.crop))
    for seen in view.photos:
        captions = [say("model.preview.version", number=number) for number in range(1, len(seen.versions))]
        captions = [say("model.preview.plain"), *captions, say("model.preview.numbers")]
        alts = [say("model.preview.alt", name=panels.plain(seen.name), version=caption) for caption in captions]
        st.image([*seen.versions, seen.numbers], caption=captions, width=WIDTH, alt=alts)
    mean, std = (", ".join(f"{value:g}" for value in getattr(view.preprocessing, name)) for name in ("mean", "std"))
    st.markdown(say("model.preview.formula", mean=f"({mean})", std=f"({std})"))
    head = " | ".join(say(f"model.preview.{colour}") for colour in COLOURS)
    rows = [f"| | {head} |", "|---|--:|--:|--:|"]
    for row, values in view.table.items():
        rows.append(f"| {say(f'model.preview.{row}')} | {' | '.join(f'{value:.2f}' for value in values)} |")
    st.markdown("\n".join(rows).replace("-0.00", "0.00").replace(" -", " −"))
    if config.mixup or config.cutmix:
        st.caption(say("model.preview.mixed"))
