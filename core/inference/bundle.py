"""The model to take along: one zip with weights, card and a README. No pickle anywhere. Torch-free."""

import io
import json
import zipfile

from core.errors import RunError
from core.runs.store import RunDirectory
from core.words import say


def bundle(run: RunDirectory) -> bytes:
    """The zip's bytes: ``model.safetensors``, ``model.json``, ``metrics.json`` where there are scores, ``README.txt``.

    Unpacked, it is a run directory that ``python -m core predict`` opens. RunError while there is no model.
    """
    if not run.has_model:
        raise RunError("runs.no_model", run=run.id)
    card = json.loads(run.model_card.read_text("utf-8"))
    readme = say("bundle.readme", classes=", ".join(card["classes"]), backbone=card["backbone"], run=run.id)
    buffer = io.BytesIO()
    # Weights don't compress: storing them keeps the download as fast as the disk.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in (run.model, run.model_card, run.metrics):
            if path.exists():
                archive.write(path, f"graft-model/{path.name}")
        archive.writestr("graft-model/README.txt", readme)
    return buffer.getvalue()
