"""The draw of photos for training, validation and test: by class, with a seed, and never tearing what is tied.

Pure and torch-free.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

from core.data.grouping import Bound
from core.data.report import PARTS, DatasetReport, Finding, Part, Photo

Parts = dict[Part, list[Photo]]


class Ties:
    """What must not be torn: ``copies`` show (nearly) the same, ``home`` also counts the user's groups."""

    def __init__(self, report: DatasetReport) -> None:
        sha256 = {photo.path: photo.sha256 for photo in (*report.photos, *report.unlabelled)}
        self.alike = {path for group in report.together for path in group}
        self.grouped = {path for group in report.groups for path in group}
        self.copies, self.all = Bound(), Bound()
        for bound, groups in ((self.copies, report.together), (self.all, (*report.together, *report.groups))):
            for group in groups:
                if known := [sha256[path] for path in group if path in sha256]:
                    bound.bind(known)

    def tell(self, groups: list[list[Photo]]) -> Iterator[Finding]:
        """What stays together, and why."""
        tied = [photo for group in groups for photo in group if len(group) > 1]
        hashes = Counter(photo.sha256 for photo in tied)
        if copies := [photo for photo in tied if hashes[photo.sha256] > 1]:
            yield note("split_copies_together", copies)
        if near := [photo for photo in tied if hashes[photo.sha256] == 1 and photo.path in self.alike]:
            yield note("split_alike_together", near)
        if ruled := [photo for photo in tied if photo.path in self.grouped]:
            yield note("split_groups_together", ruled, groups=len({self.all.home(photo.sha256) for photo in ruled}))

    def contradict(self, group: list[Photo]) -> bool:
        """Whether copies in it lie in two classes, so that no answer would be right."""
        labels: defaultdict[str, set[str]] = defaultdict(set)
        for photo in group:
            labels[self.copies.home(photo.sha256)].add(photo.label)
        return any(len(found) > 1 for found in labels.values())


def draw(photos: list[Photo], wanted: Mapping[Part, float], seed: int, ties: Ties, notes: list[Finding]) -> Parts:
    """Divide ``photos`` class by class; what isn't drawn for a wanted part is for training."""
    drawn: Parts = {part: [] for part in PARTS}
    groups = _groups(photos, ties.all)
    notes += ties.tell(groups)
    of_class: defaultdict[str, list[list[Photo]]] = defaultdict(list)
    contradicting: list[list[Photo]] = []
    mixed: list[list[Photo]] = []
    for group in groups:
        if ties.contradict(group):
            contradicting.append(group)
        elif len({photo.label for photo in group}) > 1:
            mixed.append(group)
        else:
            of_class[group[0].label].append(group)
    drawn["train"] += [photo for group in contradicting for photo in group]
    if contradicting:
        notes.append(note("split_two_classes", drawn["train"]))
    _draw_mixed(mixed, drawn, photos, wanted, Random(seed))
    taken = {part: Counter(photo.label for photo in drawn[part]) for part in PARTS}
    for label in sorted(of_class):
        # A generator per class: adding a class leaves the other classes' parts as they were.
        already: dict[Part, int] = {part: taken[part][label] for part in PARTS}
        for part, chosen in _draw_class(of_class[label], already, wanted, Random(seed)).items():
            drawn[part] += chosen
    return drawn


def _groups(photos: Iterable[Photo], bound: Bound) -> list[list[Photo]]:
    """Photos that are bound together, in the order of their first hash: file names and folder order don't matter."""
    by_home: defaultdict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_home[bound.home(photo.sha256)].append(photo)
    return [by_home[home] for home in sorted(by_home)]


def _draw_mixed(
    groups: list[list[Photo]], drawn: Parts, photos: list[Photo], wanted: Mapping[Part, float], random: Random
) -> None:
    """Groups of several classes, the largest first: each where it brings the classes nearest to the shares."""
    counts = Counter(photo.label for photo in photos)
    shares: dict[Part, float] = {**wanted, "train": 1 - sum(wanted.values())}
    missing = {part: {label: share * count for label, count in counts.items()} for part, share in shares.items()}
    random.shuffle(groups)
    placed: dict[Part, list[list[Photo]]] = {part: [] for part in shares}
    for group in sorted(groups, key=len, reverse=True):
        labels = Counter(photo.label for photo in group)

        def gain(part: Part, labels: Counter[str] = labels) -> float:
            """By how much the squared distance from the shares falls, each class weighed alike."""
            lacking = missing[part]
            return sum(n * (2 * lacking[label] - n) / counts[label] ** 2 for label, n in labels.items())

        part: Part = max(shares, key=gain)
        placed[part].append(group)
        for label, n in labels.items():
            missing[part][label] -= n
    # A few large groups can leave a part empty: it gets the smallest one that training can spare.
    for part in wanted:
        if not placed[part] and len(placed["train"]) > 1:
            smallest = min(placed["train"], key=len)
            placed["train"].remove(smallest)
            placed[part].append(smallest)
    for part, chosen in placed.items():
        drawn[part] += [photo for group in chosen for photo in group]


def _draw_class(
    groups: list[list[Photo]], already: Mapping[Part, int], wanted: Mapping[Part, float], random: Random
) -> Parts:
    """One class. Counts are the nearest to the shares; each wanted part gets a photo while training keeps one.

    ``already`` counts the class's photos that lie in each part with groups of several classes.
    """
    random.shuffle(groups)
    count = sum(already.values()) + sum(len(group) for group in groups)
    room: dict[Part, int] = {part: max(0, places - already[part]) for part, places in _room(count, wanted).items()}
    placed: dict[Part, list[list[Photo]]] = {part: [] for part in PARTS}
    for group in groups:
        roomy: list[Part] = [name for name, places in room.items() if places >= len(group)]
        part: Part = roomy[0] if roomy else "train"
        if part in room:
            room[part] -= len(group)
        placed[part].append(group)
    # Groups of copies can leave a part empty: it gets the smallest group that another one can spare.
    for part in room:
        if not placed[part] and not already[part]:
            spare: list[Part] = [name for name in PARTS if len(placed[name]) > 1 or (placed[name] and already[name])]
            if spare:
                giver: Part = "train" if "train" in spare else spare[0]
                smallest = min(placed[giver], key=len)
                placed[giver].remove(smallest)
                placed[part].append(smallest)
    return {part: [photo for group in chosen for photo in group] for part, chosen in placed.items()}


def _room(count: int, wanted: Mapping[Part, float]) -> dict[Part, int]:
    """How many of ``count`` photos each wanted part takes; validation comes before test, training before both."""
    room: dict[Part, int] = {}
    left = count - 1
    asked: list[Part] = [part for part in PARTS if part in wanted]
    for later, part in zip(reversed(range(len(asked))), asked, strict=True):
        nearest = max(1, math.floor(count * wanted[part] + 0.5))
        room[part] = min(nearest, left - later if left > later else left)
        left -= room[part]
    return room


def note(kind: str, photos: Sequence[Photo], **values: object) -> Finding:
    return Finding(kind, {"n": len(photos), **values}, tuple(sorted(photo.path for photo in photos)))
