"""Results says how many of the photos whose class was learnt would get an "I don't know"."""

import json
from dataclasses import replace

from core.inference.metrics import Results
from core.workspace import Workspace
from tests.app.conftest import Recorder, finish, make_photos, make_run
from tests.app.test_pages import texts


def test_refused_photos_are_told_with_the_score_and_runs_that_can_not_tell_say_nothing(
    visit, workspace: Workspace, recorder: Recorder
) -> None:
    run = finish(make_run(workspace, make_photos(workspace), recorder))
    older = "\n".join(texts(visit("results", run=run.id)))
    assert "I don't know" not in older
    results = Results.from_json(run.results() or {})
    answers = [replace(answer, strangeness=0.1 * place) for place, answer in enumerate(results.answers)]
    assert len(answers) == 3
    told = replace(results, answers=tuple(answers), limit=0.05)
    run.metrics.write_text(json.dumps(told.to_json()), "utf-8")
    page = visit("results", run=run.id)
    assert not page.exception
    assert "To 2 of these 3 photos the model says “I don't know” (67\u00a0%)" in "\n".join(texts(page))
