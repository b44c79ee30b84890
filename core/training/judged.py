"""What the best epoch said about the validation photos, kept for whoever asks later how sure the network may be."""

import json

from core.inference.calibration import fit_temperature
from core.training.run import Run
from core.workspace import write_atomically

FORMAT = 1
MOST_NUMBERS = 1_000_000  # logits that are written, some 10 MB of JSON: 10,000 photos of 100 classes


def keep_validation(run: Run) -> float | None:
    """Write ``validation.json`` and return the temperature that fits it; None where the photos don't tell.

    The logits are those of the best epoch as it was chosen. Where the settings let the validation photos teach
    afterwards, the final network has seen them, and what it says about them is no evidence any more.
    """
    logits = run.best.logits
    samples = run.split.val
    if logits is None or len(logits) != len(samples):
        return None
    every = -(-logits.numel() // MOST_NUMBERS)  # of very many photos evenly spread ones: one number is to be fitted
    said = logits.detach().float().cpu().numpy()[::every]
    samples = samples[::every]
    targets = [sample.target for sample in samples]
    kept = {
        "format": FORMAT,
        "phase": run.best.phase,
        "epoch": run.best.epoch,
        "classes": list(run.split.classes),
        "paths": [sample.path for sample in samples],
        "targets": targets,
        "logits": [[round(float(value), 5) for value in row] for row in said],
    }
    write_atomically(run.directory.validation, json.dumps(kept, ensure_ascii=False).encode())
    return fit_temperature(said, targets)
