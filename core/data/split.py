"""Who is learnt from, who decides when to stop, and who is never looked at until the end. Pure and torch-free.

What the user's own folders say is kept. What they leave open is drawn by class, with a seed. Copies, photos that show
nearly the same, and groups by the user's rule never lie in two parts, or the score would reward memory.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from unicodedata import normalize

from core.data.draw import Parts, Ties, draw, note
from core.data.report import PARTS, DatasetReport, Finding, Part, Photo, Sample, Split
from core.errors import DataError

# A photo in two parts stays in the later one of these: the score has to be honest before the training is plentiful.
PRECEDENCE: tuple[Part, ...] = ("train", "val", "test")
NAMED = 6  # as many names as a sentence bears


def split(
    report: DatasetReport,
    *,
    seed: int = 0,
    test: DatasetReport | None = None,
    val_share: float = 0.15,
    test_share: float = 0.15,
    guesses: Mapping[str, str] | None = None,
) -> Split:
    """Divide the photos into train, val and test; the same photos and seed give the same split on every machine.

    With ``test`` the score is on that second folder, and the first one's own ``test`` photos join the training.
    Shares are of what has to be divided, per class; a share of 0 means no such part. ``guesses`` are classes of photos
    without a label, by path: they join the training, and nothing else.

    Raises:
        DataError: no photos, a single class, a class without a training photo, a test folder of other classes.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise ValueError(f"shares must leave something to learn from: {val_share} + {test_share}")
    _check_classes(report)
    notes: list[Finding] = []
    given, open_photos = _given_parts(report.photos, second_folder=test is not None, notes=notes)
    if test is not None:
        given["test"] = _known_photos(report.classes, test, notes)
    given, open_photos = _without_copies(given, open_photos, second_folder=test is not None, notes=notes)
    ties = Ties(report)
    shares: tuple[tuple[Part, float], ...] = (("val", val_share), ("test", test_share))
    wanted: dict[Part, float] = {part: share for part, share in shares if share > 0 and part not in given}
    drawn = draw(open_photos, wanted, seed, ties, notes)
    notes += _torn_groups(report, given)
    parts: Parts = {part: given.get(part, []) + drawn.get(part, []) for part in PARTS}
    _check_trained(report, parts)
    if guesses:
        parts["train"] = parts["train"] + _guessed(report, parts, guesses, ties, notes)
    notes += _unscored(report.classes, parts["test"])
    samples = {part: _samples(photos, report.classes) for part, photos in parts.items()}
    return Split(
        classes=report.classes,
        train=samples["train"],
        val=samples["val"],
        test=samples["test"],
        root=report.root,
        test_root=test.root if test is not None else None,
        notes=tuple(notes),
        test_groups=_test_groups(report, samples["test"]) if test is None else (),
    )


# What the user's folders say


def _given_parts(photos: Sequence[Photo], *, second_folder: bool, notes: list[Finding]) -> tuple[Parts, list[Photo]]:
    """The parts that are already decided, and the photos that still have to be divided.

    ``train`` is only decided when nothing has to be taken from it; photos outside the part folders count as train.
    """
    by_part: defaultdict[Part | None, list[Photo]] = defaultdict(list)
    for photo in photos:
        part = photo.part
        if second_folder and part == "test":
            part = "train"
        by_part[part].append(photo)
    unplaced = by_part.pop(None, [])
    if len(by_part) == 1 and not unplaced:  # a single part folder divides nothing
        return {}, list(photos)
    open_photos = by_part.pop("train", []) + unplaced
    if not open_photos:
        raise DataError("dataset.no_train_folder")
    if by_part and unplaced:
        notes.append(note("split_unplaced", unplaced))
    if not second_folder and set(by_part) == {"val"}:
        notes.append(Finding("split_test_from_train", {}))
    return {part: chosen for part, chosen in by_part.items() if part}, open_photos


def _known_photos(classes: tuple[str, ...], test: DatasetReport, notes: list[Finding]) -> list[Photo]:
    """The second folder's photos whose class is known, labelled as the first folder spells it."""
    if not test.photos:
        raise DataError("dataset.test_empty")
    ours = spelling(classes)
    known: list[Photo] = []
    unknown: list[Photo] = []
    for photo in test.photos:
        label = ours(photo.label)
        if label is None:
            unknown.append(photo)
        else:
            known.append(_relabelled(photo, label))
    if not known:
        raise DataError("dataset.test_unknown", names=named(test.classes), known=named(classes))
    if unknown:
        notes.append(note("split_unknown_class", unknown, names=named({photo.label for photo in unknown})))
    return known


def spelling(classes: Iterable[str]) -> Callable[[str], str | None]:
    """Finds the class that a label of other photos means, as ``classes`` spell it: é has two forms in Unicode."""
    exact = {label: label for label in classes}
    known = {normalize("NFC", label): label for label in exact} | exact
    return lambda label: known.get(label) or known.get(normalize("NFC", label))


def _relabelled(photo: Photo, label: str) -> Photo:
    return photo if photo.label == label else replace(photo, label=label)


# Copies


def _without_copies(
    given: Parts, open_photos: list[Photo], *, second_folder: bool, notes: list[Finding]
) -> tuple[Parts, list[Photo]]:
    """Of a photo that lies in several parts, only the copies in the most protected one."""
    parts: Parts = {**given, "train": open_photos}
    found = _home_of_hashes(parts)
    kept: Parts = {}
    dropped: defaultdict[Part, list[Photo]] = defaultdict(list)
    for part, photos in parts.items():
        kept[part] = [photo for photo in photos if found[photo.sha256] == part]
        for photo in photos:
            if found[photo.sha256] != part:
                dropped[found[photo.sha256]].append(photo)
    if dropped and not kept["train"]:
        raise DataError("dataset.same_photos")
    if dropped["test"]:
        notes.append(note("split_leak_second_folder" if second_folder else "split_leak_test", dropped["test"]))
    if dropped["val"]:
        notes.append(note("split_leak_val", dropped["val"]))
    return {part: kept[part] for part in given}, kept["train"]


def _home_of_hashes(parts: Parts) -> dict[str, Part]:
    homes: dict[str, Part] = {}
    for part in PRECEDENCE:
        homes.update((photo.sha256, part) for photo in parts.get(part, ()))
    return homes


# What may go wrong, and what the user should know


def _check_classes(report: DatasetReport) -> None:
    if not report.photos:
        raise DataError("dataset.empty", n=len(report.left_out))
    if len(report.classes) == 1:
        raise DataError("dataset.one_class", name=report.classes[0])


def _check_trained(report: DatasetReport, parts: Parts) -> None:
    trained = {photo.label for photo in parts["train"]}
    if untrained := [label for label in report.classes if label not in trained]:
        raise DataError("dataset.untrained", n=len(untrained), names=named(untrained))


def _torn_groups(report: DatasetReport, given: Parts) -> list[Finding]:
    """Groups that the user's own folders tear: the folders are followed, and the score suffers."""
    part_of = {photo.path: part for part, photos in given.items() for photo in photos}
    torn = [group for group in report.groups if len({part_of.get(path, "train") for path in group}) > 1]
    paths = {path for group in torn for path in group}
    photos = [photo for photo in report.photos if photo.path in paths]
    return [note("split_groups_torn", photos, groups=len(torn))] if torn and given else []


def _guessed(
    report: DatasetReport, parts: Parts, guesses: Mapping[str, str], ties: Ties, notes: list[Finding]
) -> list[Photo]:
    """Photos to learn from by a guess: none that shows what a validation or test photo shows."""
    judged = {ties.all.home(photo.sha256) for part in ("val", "test") for photo in parts[part]}
    known = set(report.classes)
    chosen = [
        _relabelled(photo, guesses[photo.path])
        for photo in report.unlabelled
        if guesses.get(photo.path) in known and ties.all.home(photo.sha256) not in judged
    ]
    if chosen:
        notes.append(note("split_guessed", chosen))
    return chosen


def _unscored(classes: tuple[str, ...], test: list[Photo]) -> list[Finding]:
    """Classes that the score can't speak of; nothing to say where nobody asked for a test part."""
    scored = {photo.label for photo in test}
    missing = [label for label in classes if label not in scored]
    if not test or not missing:
        return []
    return [Finding("split_unscored", {"n": len(missing), "names": named(missing)})]


def _test_groups(report: DatasetReport, tested: Iterable[Sample]) -> tuple[tuple[str, str], ...]:
    """So that the score can be told group by group, whatever becomes of the rule."""
    name_of = {
        path: name for name, group in zip(report.group_names, report.groups, strict=False) for path in group
    }  # fmt: skip
    return tuple((sample.path, name_of[sample.path]) for sample in tested if sample.path in name_of)


def named(labels: Iterable[str]) -> str:
    """``“ant”, “bee”``: the first few names, and an ellipsis where there are more."""
    ordered = sorted(labels)
    return ", ".join(f"“{label}”" for label in ordered[:NAMED]) + (", …" if len(ordered) > NAMED else "")


def _samples(photos: Iterable[Photo], classes: tuple[str, ...]) -> tuple[Sample, ...]:
    number = {label: place for place, label in enumerate(classes)}
    ordered = sorted(photos, key=lambda photo: photo.path)
    return tuple(Sample(photo.path, number[photo.label], photo.sha256) for photo in ordered)
