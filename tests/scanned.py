"""What tests ask of a report, in a few words."""

import json
from pathlib import Path

import pytest

from core.data.report import DatasetReport, Finding
from core.data.scan import scan
from core.errors import DataError


def counts(report: DatasetReport) -> dict[str, int]:
    return dict(report.counts)


def reasons(report: DatasetReport) -> dict[str, str]:
    assert all(entry.text for entry in report.left_out)
    return {entry.path: entry.reason for entry in report.left_out}


def kinds(report: DatasetReport) -> set[str]:
    assert all(finding.text for finding in report.findings)
    return {finding.kind for finding in report.findings}


def finding(report: DatasetReport, kind: str) -> Finding:
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


def error_for(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        scan(root)
    assert caught.value.message
    assert caught.value.hint
    json.dumps(caught.value.to_json())
    return caught.value.key
