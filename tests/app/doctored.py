"""A check-up that finds what a test tells it to, and starts no process."""

from dataclasses import dataclass, field

import pytest

from core.data.datasets import Dataset
from core.data.report import DatasetReport
from core.data.store import read_report
from core.doctor import checkup
from core.doctor.checkup import Checkup
from core.doctor.folder import Round
from core.doctor.labelling import Proposals
from core.doctor.report import Diagnosis, Examination
from core.workspace import Workspace


@dataclass
class Doctor:
    """A check-up that finds what it is told to, per version, and starts no process."""

    findings: dict[str, tuple[Diagnosis, ...]] = field(default_factory=dict)  # by fingerprint
    proposals: Proposals | None = None
    rounds: tuple[Round, ...] = ()
    started: list[str] = field(default_factory=list)

    def start(self, dataset: Dataset, workspace: Workspace) -> None:
        self.started.append(read_report(dataset).fingerprint)

    def watch(self, dataset: Dataset, report: DatasetReport) -> Checkup:
        known = self.findings.get(report.fingerprint)
        if known is not None:
            fast = Examination(report.fingerprint, "fast", known, 0.1)
            deep = Examination(report.fingerprint, "deep", (), 0.1)
            return Checkup("ready", fast=fast, deep=deep, proposals=self.proposals, rounds=self.rounds)
        stale = tuple(Examination(key, "fast", found, 0.1) for key, found in self.findings.items())
        status = "working" if report.fingerprint in self.started else "waiting"
        return Checkup(status, "features", done=3, total=24, stale=stale)


@pytest.fixture(autouse=True)
def doctor(monkeypatch: pytest.MonkeyPatch) -> Doctor:
    made = Doctor()
    monkeypatch.setattr(checkup, "start", made.start)
    monkeypatch.setattr(checkup, "watch", made.watch)
    return made
