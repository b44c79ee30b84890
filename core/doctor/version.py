"""The steps of one version's examination, written down one by one; each of them whole or not at all."""

import time
from collections import defaultdict

from core.data.facts import read_facts
from core.data.history import History, read_history
from core.data.report import DatasetReport
from core.data.store import Dataset, compact, read_report
from core.doctor.examine import NoFeatures, Prepared, deep_look, fast_look, found, prepare
from core.doctor.features import Source, Stopped
from core.doctor.folder import DoctorFolder, Round
from core.doctor.labelling import propose_labels, round_accuracy
from core.doctor.report import Refused
from core.workspace import write_atomically

TELL_SECONDS = 0.2  # between two writes of the progress


class Version:
    """The steps of one version's examination. What an earlier process has written is not done again."""

    def __init__(self, dataset: Dataset, folder: DoctorFolder, source: Source, report: DatasetReport) -> None:
        self.dataset, self.folder, self.source, self.report = dataset, folder, source, report
        self.fingerprint = report.fingerprint
        self.refused = refused_in(read_history(dataset.history))
        self._told = 0.0

    def run(self) -> None:
        if self.folder.examination(self.fingerprint, "fast") is None:
            self.tell("fast", 0, len(self.report.photos))
            self.folder.write(fast_look(self.report, read_facts(self.dataset), self.refused))
        if self.superseded():
            return
        try:
            prepared = self.features()
        except NoFeatures as reason:
            self.folder.write_without_deep(self.fingerprint, reason.reason)
            return
        if self.superseded():
            return
        if self.folder.examination(self.fingerprint, "deep") is None:
            self.tell("deep", 0, len(self.report.photos))
            self.folder.write(deep_look(prepared, self.fingerprint, self.refused))
        if self.report.unlabelled and not self.superseded():
            self.propose(prepared)

    def features(self) -> Prepared:
        for done, total in prepare(self.source, self.report, self.stopped):
            self.tell("features", done, total)
        return found(self.source, self.report)

    def propose(self, prepared: Prepared) -> None:
        self.tell("labels", 0, len(self.report.unlabelled))
        made = propose_labels(prepared.report, prepared.features, prepared.unlabelled)
        if made is None:
            return
        first = self.folder.first()
        if first is None:
            first = tuple(photo.path for photo in self.report.photos)
            self.folder.write_first(first)
        accuracy, judged = round_accuracy(prepared.report, prepared.features, first)
        if accuracy is not None:
            counts = len(self.report.photos), len(self.report.unlabelled)
            self.folder.add_round(Round(self.fingerprint, *counts, accuracy, judged))
        unread = {photo.path for photo in self.report.unlabelled} - made.asked
        self.folder.write_proposals(made.with_unread(self.fingerprint, unread))

    def stopped(self) -> bool:
        return self.folder.stop.exists()

    def superseded(self) -> bool:
        """Whether another version has to be examined instead."""
        if self.stopped():
            raise Stopped
        now = current(self.dataset)
        return now is None or now.fingerprint != self.fingerprint

    def tell(self, phase: str, done: int, total: int) -> None:
        """Write how far a phase is: at its beginning, its end, and now and then."""
        if time.monotonic() - self._told >= TELL_SECONDS or done in (0, total):
            self._told = time.monotonic()
            told = {"fingerprint": self.fingerprint, "phase": phase, "done": done, "total": total}
            write_atomically(self.folder.progress, compact(told))


def current(dataset: Dataset) -> DatasetReport | None:
    try:
        return read_report(dataset)
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # not scanned, or gone: nothing to examine
        return None


def refused_in(history: History) -> Refused:
    """By kind: the photos whose suggestion was refused, in the version that is current."""
    refused: defaultdict[str, set[str]] = defaultdict(set)
    for step in history.chain(history.version):
        for change in step.changes:
            if change.field == "refused" and change.value is not None:
                refused[change.value].update(change.paths)
    return refused
