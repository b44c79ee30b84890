"""What is worth knowing about a set of photos as a whole. Pure: photos in, findings out."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice

from core.data.layout import Place
from core.data.report import Finding, Photo

PHOTOS_NAMED = 200  # a finding's list of photos ends there; its count doesn't
CLASSES_NAMED = 5
TINY_CLASS = 2  # photos: none is left to test with once training has one and validation the other
FEW_PHOTOS = 10  # photos of a class, below which each test photo weighs ten points and more
IMBALANCE = 3  # largest class / smallest class
MANY_CLASSES = 100
SMALL_SIDE = 64  # pixels; the backbones look at 224 and more


def find(photos: Collection[Photo], animated: Collection[str], places: Mapping[str, Place]) -> tuple[Finding, ...]:
    """Every finding, the gravest first. ``places`` are those of all photos, usable or not, by path."""
    if not photos:
        return ()
    counts = Counter(photo.label for photo in photos)
    ordered = sorted(photos, key=lambda photo: photo.path)
    found = [
        *_lost_classes(counts, places),
        *_size_of_classes(counts, ordered),
        *_copies(ordered),
        *_untrained(ordered),
        *_similar_names(counts),
        *_nested(ordered, places),
    ]
    small = [photo for photo in ordered if min(photo.width, photo.height) < SMALL_SIDE]
    if small:
        found.append(_finding("small_pictures", small, least=SMALL_SIDE))
    if moving := [photo for photo in ordered if photo.path in animated]:
        found.append(_finding("animated", moving))
    return tuple(found)


def named(names: Iterable[str]) -> str:
    """``“ant”, “bee”``: the first few, and an ellipsis where there are more."""
    ordered = sorted(names)
    return ", ".join(f"“{name}”" for name in ordered[:CLASSES_NAMED]) + (", …" if len(ordered) > CLASSES_NAMED else "")


def _lost_classes(counts: Counter[str], places: Mapping[str, Place]) -> list[Finding]:
    lost = {place.label for place in places.values()} - {"", *counts}
    return [Finding("lost_class", {"n": len(lost), "names": named(lost)})] if lost else []


def _size_of_classes(counts: Counter[str], photos: list[Photo]) -> list[Finding]:
    found: list[Finding] = []
    if len(counts) == 1:
        found.append(Finding("one_class", {"name": next(iter(counts))}))
    tiny = {label for label, count in counts.items() if count <= TINY_CLASS}
    few = {label for label, count in counts.items() if TINY_CLASS < count < FEW_PHOTOS}
    for kind, labels in (("tiny_class", tiny), ("few_photos", few)):
        if labels:
            values = {"n": len(labels), "names": named(labels), "least": FEW_PHOTOS}
            found.append(Finding(kind, values, _paths(photo for photo in photos if photo.label in labels)))
    largest, smallest = max(counts, key=_by(counts)), min(counts, key=_by(counts))
    if counts[largest] >= IMBALANCE * counts[smallest]:
        values = {"largest": largest, "largest_count": counts[largest]}
        found.append(Finding("imbalance", {**values, "smallest": smallest, "smallest_count": counts[smallest]}))
    if len(counts) > MANY_CLASSES:
        found.append(Finding("many_classes", {"n": len(counts)}))
    return found


def _by(counts: Counter[str]) -> Callable[[str], tuple[int, str]]:
    return lambda label: (counts[label], label)


def _copies(photos: list[Photo]) -> list[Finding]:
    """Files with equal bytes: in two classes, in training and testing, or merely twice in a class."""
    by_hash: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_hash[photo.sha256].append(photo)
    groups = [group for group in by_hash.values() if len(group) > 1]
    torn = [group for group in groups if len({photo.label for photo in group}) > 1]
    leaking = [group for group in groups if len({photo.part for photo in group}) > 1]
    found = [
        Finding(kind, {"n": len(chosen)}, _paths(photo for group in chosen for photo in group))
        for kind, chosen in (("contradiction", torn), ("leak", leaking))
        if chosen
    ]
    # A class's copies within one part, beside the first: what could go without loss.
    same = [list(copies.values()) for copies in map(_by_home, groups)]
    extra = [photo for homes in same for home in homes for photo in home[1:]]
    if extra:
        shown = _paths(photo for homes in same for home in homes if len(home) > 1 for photo in home)
        found.append(Finding("duplicates", {"n": len(extra)}, shown))
    return found


def _by_home(group: list[Photo]) -> dict[tuple[str, str | None], list[Photo]]:
    homes: defaultdict[tuple[str, str | None], list[Photo]] = defaultdict(list)
    for photo in group:
        homes[photo.label, photo.part].append(photo)
    return homes


def _untrained(photos: list[Photo]) -> list[Finding]:
    """Classes that a given division never trains on."""
    trained = {photo.label for photo in photos if photo.part in (None, "train")}
    if not trained:
        return []  # only test photos were given: a second folder to score on
    missing = {photo.label for photo in photos} - trained
    return [Finding("untrained_class", {"n": len(missing), "names": named(missing)})] if missing else []


def _similar_names(counts: Counter[str]) -> list[Finding]:
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for label in counts:
        folded = unicodedata.normalize("NFKC", label).casefold()
        alike["".join(folded.split())].append(label)
    groups = [group for group in alike.values() if len(group) > 1]
    names = named(label for group in groups for label in group)
    return [Finding("similar_names", {"n": len(groups), "names": names})] if groups else []


def _nested(photos: list[Photo], places: Mapping[str, Place]) -> list[Finding]:
    """Folders inside class folders: harmless, or a sign that the classes are one level down."""
    inner = [photo for photo in photos if places[photo.path].inside]
    if not inner:
        return []
    classes_of: defaultdict[str, set[str]] = defaultdict(set)
    for photo in inner:
        classes_of[str(places[photo.path].inside)].add(photo.label)
    shared = [name for name, labels in classes_of.items() if len(labels) > 1]
    if shared:
        return [Finding("same_inside", {"names": named(shared)}, _paths(inner))]
    first = inner[0]
    return [_finding("nested", inner, folder=first.path.rpartition("/")[0], name=first.label)]


def _finding(kind: str, photos: list[Photo], **values: object) -> Finding:
    return Finding(kind, {"n": len(photos), **values}, _paths(photos))


def _paths(photos: Iterable[Photo]) -> tuple[str, ...]:
    return tuple(photo.path for photo in islice(photos, PHOTOS_NAMED))
