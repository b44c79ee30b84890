"""Whether this bundle still answers as Graft did: python verify.py   Exit status 0 if it does, 1 if not.

First every file is compared with the SHA-256 that graft.json names for it, then every sample photo is predicted
again by predict.py and compared with what Graft said about it (samples.json). Needs what predict.py needs.
"""

import hashlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def changed_files(listed):
    """Files that are missing, or hold something else than when the bundle was made."""
    changed = []
    for name, expected in listed.items():
        path = FOLDER / name
        if not path.is_file():
            changed.append((name, "is missing"))
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        if digest.hexdigest() != expected:
            changed.append((name, "was changed"))
    return changed


def largest_difference(said, again):
    """Between the probabilities that both name, and whether the first class and the verdict are the same."""
    chances = {row["label"]: row["confidence"] for row in again["top"]}
    gaps = [abs(row["confidence"] - chances[row["label"]]) for row in said["top"] if row["label"] in chances]
    same = said["label"] == again["label"] and said["unknown"] == again["unknown"]
    return max(gaps, default=1.0), same


def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    graft = json.loads((FOLDER / "graft.json").read_text("utf-8"))
    changed = changed_files(graft["files"])
    for name, what in changed:
        print(f"{name} {what}")
    if any(what == "is missing" for _, what in changed):
        return 1  # what is left can't be compared
    import predict

    samples = json.loads((FOLDER / "samples.json").read_text("utf-8"))
    wrong = 0
    print(f"{'sample':32} {'Graft said':24} {'predict.py says':24} {'difference':>10}")
    for sample in samples["samples"]:
        again = predict.answer(FOLDER / sample["file"])
        gap, same = largest_difference(sample["said"], again)
        good = same and gap <= samples["limit"]
        wrong += not good
        told = (sample["file"][:32], str(sample["said"]["label"])[:24], str(again["label"])[:24])
        print("{:32} {:24} {:24} {:10.6f}".format(*told, gap), "" if good else "  DIFFERENT")
    print(f"{len(samples['samples'])} samples, {wrong} different; {len(graft['files'])} files, {len(changed)} changed")
    return 1 if wrong or changed else 0


if __name__ == "__main__":
    sys.exit(main())
