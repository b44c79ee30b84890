"""A data set as it stands now: what arrived, and what people said of it since. Pure and torch-free."""

from collections.abc import Mapping
from dataclasses import replace

from core.data.findings import find
from core.data.history import Field, State
from core.data.layout import Place
from core.data.report import DatasetReport, Finding, Part, Photo

Said = Mapping[Field, Mapping[str, str | None]]
# Findings about folders hold for what arrived, whatever was said of the photos since.
OF_FOLDERS = ("nested", "same_inside", "table", "table_unmatched", "table_torn")


def apply(base: DatasetReport, state: State, version: int) -> DatasetReport:
    """The report on a version. Photos keep their paths: where a file lies doesn't change with what it is called."""
    if version == 0:
        return base
    said = state.said
    every = {photo.path: photo for photo in (*base.photos, *base.unlabelled, *base.aside)}
    labelled: list[Photo] = []
    unlabelled: list[Photo] = []
    aside: list[Photo] = []
    for path in sorted(every):
        photo = _as_said(every[path], said)
        if said["aside"].get(path) is not None:
            aside.append(photo)
        elif photo.label:
            labelled.append(photo)
        else:
            unlabelled.append(photo)
    return replace(
        base,
        photos=tuple(labelled),
        unlabelled=tuple(unlabelled),
        aside=tuple(aside),
        findings=_findings(base, labelled),
        version=version,
    )


def _as_said(photo: Photo, said: Said) -> Photo:
    label = said["label"].get(photo.path, photo.label) or ""
    part: Part | None = said["part"].get(photo.path, photo.part)  # type: ignore[assignment]
    return photo if (label, part) == (photo.label, photo.part) else replace(photo, label=label, part=part)


def _findings(base: DatasetReport, photos: list[Photo]) -> tuple[Finding, ...]:
    kept = tuple(finding for finding in base.findings if finding.kind in (*OF_FOLDERS, "animated"))
    if not photos:
        return kept
    places = {photo.path: Place(photo.label, photo.part, None) for photo in photos}
    return (*find(photos, (), places), *kept)
