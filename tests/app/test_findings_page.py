"""The check-up on the Photos page: its cards, what a press does to the data set, and what undoing brings back."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.data import mending
from core.data.store import read_report
from core.doctor.report import Case, Diagnosis, Suggestion
from core.words import say
from core.workspace import Workspace
from pages.parts import examined
from tests.app.conftest import make_photos
from tests.app.doctored import Doctor
from tests.app.test_pages import texts

Visit = Callable[..., AppTest]


def copies(*groups: tuple[str, ...], confidence: float = 1.0) -> Diagnosis:
    """Groups of copies, of which all but the first may go."""
    cases = tuple(Case(group, confidence, Suggestion("aside", group[1:], "copy"), {"n": 2}) for group in groups)
    return Diagnosis("exact_copies", "look", cases, {"n": len(cases)})


COPIES = (("circle/0.jpg", "circle/1.jpg"), ("circle/2.jpg", "circle/3.jpg", "circle/4.jpg"))


def test_a_check_up_is_started_once_for_a_version_and_says_how_far_it_is(
    visit: Visit, workspace: Workspace, doctor: Doctor
) -> None:
    photos = make_photos(workspace)
    page = visit("photos", set=photos.id)
    page.run()
    assert not page.exception
    assert doctor.started == [read_report(photos).fingerprint]


def test_a_clean_set_has_one_green_line_and_no_card(visit: Visit, workspace: Workspace, doctor: Doctor) -> None:
    photos = make_photos(workspace)
    doctor.findings[read_report(photos).fingerprint] = ()
    page = visit("photos", set=photos.id)
    assert [box.value for box in page.success] == [say("doctorpage.clean")]
    assert not [one for one in page.button if "refuse" in str(one.key)]
    assert doctor.started == []


def test_accepting_a_case_sets_its_photos_aside_and_undo_brings_the_version_back(
    visit: Visit, workspace: Workspace, doctor: Doctor
) -> None:
    photos = make_photos(workspace)
    before = read_report(photos)
    doctor.findings[before.fingerprint] = (copies(*COPIES),)
    page = visit("photos", set=photos.id)
    next(one for one in page.button if str(one.key).startswith("accept_exact_copies_")).click().run()
    assert not page.exception
    after = read_report(photos)
    assert [photo.path for photo in after.aside] == ["circle/1.jpg"]
    assert len(mending.history(photos).steps) == 1
    # The new version is looked at; what is left of the findings stays meanwhile.
    assert doctor.started == [after.fingerprint]
    assert [key for key in keys(page) if key.startswith("case_") or key.startswith("refuse_exact_copies_")]
    page.button(key="undo_doctor_exact_copies").click().run()
    assert read_report(photos).fingerprint == before.fingerprint
    assert len([key for key in keys(page) if key.startswith("refuse_exact_copies_")]) == len(COPIES)


def test_accepting_all_is_one_step_of_the_history(visit: Visit, workspace: Workspace, doctor: Doctor) -> None:
    photos = make_photos(workspace)
    doctor.findings[read_report(photos).fingerprint] = (copies(*COPIES),)
    page = visit("photos", set=photos.id)
    page.button(key="accept_all_exact_copies").click().run()
    (step,) = mending.history(photos).steps
    assert step.kind == "accept"
    assert [photo.path for photo in read_report(photos).aside] == ["circle/1.jpg", "circle/3.jpg", "circle/4.jpg"]
    assert page.button(key="undo_doctor_exact_copies")


def test_what_was_refused_is_gone_from_the_page_and_comes_back_by_undo(
    visit: Visit, workspace: Workspace, doctor: Doctor
) -> None:
    photos = make_photos(workspace)
    before = read_report(photos)
    doctor.findings[before.fingerprint] = (copies(*COPIES),)
    page = visit("photos", set=photos.id)
    page.button(key="refuse_all_exact_copies").click().run()
    assert read_report(photos).fingerprint == before.fingerprint, "refusing changes no photo"
    assert [box.value for box in page.success] == [say("doctorpage.clean")]
    page.button(key="undo_doctor_exact_copies").click().run()
    assert page.button(key="refuse_all_exact_copies")


def test_a_refusal_of_one_kind_says_nothing_of_another(workspace: Workspace) -> None:
    photos = make_photos(workspace)
    report = read_report(photos)
    one, other = copies(*COPIES), Diagnosis("dark", "look", (Case(("circle/0.jpg",), 0.9),), {"n": 1})
    mending.refuse(photos, "exact_copies", ["circle/0.jpg", "circle/1.jpg"])
    mending.refuse(photos, "dark", ["circle/0.jpg"])
    left = examined.still_open([one, other], report, examined.refused(mending.history(photos)))
    assert [(found.kind, [case.paths for case in found.cases]) for found in left] == [("exact_copies", [COPIES[1]])]


def test_of_many_unsure_cases_only_what_is_shown_is_accepted(
    visit: Visit, workspace: Workspace, doctor: Doctor
) -> None:
    photos = make_photos(workspace, per_class=20)
    groups = [(f"circle/{n}.jpg",) for n in range(20)]
    values = {"label": "circle", "other": "square"}
    cases = tuple(Case(group, 0.8, Suggestion("label", group, "square"), values) for group in groups)
    doctor.findings[read_report(photos).fingerprint] = (Diagnosis("label_error", "serious", cases, {"n": 20}),)
    page = visit("photos", set=photos.id)
    assert say("doctorpage.accept_all", n=6) in [one.label for one in page.button]
    page.button(key="more_label_error").click().run()
    page.button(key="accept_all_label_error").click().run()
    moved = [photo.path for photo in read_report(photos).photos if photo.label == "square"]
    assert len([path for path in moved if path.startswith("circle/")]) == 12


def test_what_the_check_up_says_better_is_not_said_twice(visit: Visit, workspace: Workspace, doctor: Doctor) -> None:
    photos = make_photos(workspace, per_class=2)
    report = read_report(photos)
    assert {finding.kind for finding in report.findings} & {"tiny_class", "few_photos", "small_pictures"}
    doctor.findings[report.fingerprint] = ()
    page = visit("photos", set=photos.id)
    shown = " ".join(texts(page))
    assert "too few to learn from" not in shown
    assert "pixels high or wide" not in shown


def keys(page: AppTest) -> list[str]:
    return [str(one.key) for one in page.button]
