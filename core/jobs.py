"""What the terminal's commands do: thin compositions of the functions that the pages call as well."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import recipes
from core.config import TrainConfig
from core.data.archive import open_source
from core.data.facts import Facts
from core.data.report import DatasetReport, LeftOut, Sample, Split
from core.data.scan import scan
from core.data.split import spelling, split
from core.doctor.guesses import guess_now
from core.doctor.report import flat
from core.errors import ConfigError, DataError, RunError
from core.events import Ended, EpochEnded, Failed, Progress, WeightsReady
from core.inference import batch
from core.inference.answers_file import table_at
from core.models import registry
from core.models.freeze import resolve_scope
from core.runs import RunDirectory, state, store
from core.words import say
from core.workspace import default_root

Json = dict[str, Any]


def scan_job(options: argparse.Namespace) -> Iterator[Json]:
    with opened(options.source) as (report, _):
        yield {
            "source": str(options.source),
            "classes": dict(report.counts),
            "images": len(report.photos),
            "unlabelled": len(report.unlabelled),
            "skipped": len(report.left_out),
            "left_out": [{"path": row.path, "reason": row.reason, "text": row.text} for row in report.left_out],
            "findings": [{"kind": row.kind, "text": row.text, "photos": row.photos} for row in report.findings],
            "fingerprint": report.fingerprint,
        }


def doctor_job(options: argparse.Namespace) -> Iterator[Json]:
    """Examine photos: by what the scan measured, then by the default backbone's features."""
    from core.doctor.examine import NoFeatures, examine, fast_look

    facts: dict[str, Facts] = {}
    with (
        opened(options.source, facts) as (report, _),
        tempfile.TemporaryDirectory(prefix="graft-") as cache,
    ):
        without = None
        try:
            looks = examine(report, facts, default_root() / "weights", Path(cache), _tell_phase)
        except NoFeatures as lacking:
            looks, without = (fast_look(report, facts),), lacking.reason
        sys.stderr.write("\n")
        if without:
            sys.stderr.write(say(f"doctor.without_deep.{without}") + "\n")
        counts = {"images": len(report.photos), "unlabelled": len(report.unlabelled)}
        yield {"source": str(options.source), **counts, "without_deep": without, **flat(looks)}


def train_job(options: argparse.Namespace) -> Iterator[Json]:
    """Train; in a folder that holds the same run unfinished, go on from its last checkpoint."""
    # Typing mistakes are told before a long scan.
    typed = _settings(options, TrainConfig(backbone=options.backbone, seed=options.seed))
    options.backbone, options.seed = typed.backbone, typed.seed  # --set says the same as the options
    if any(_pair(text)[0] == "preset" for text in options.set):
        options.preset = typed.preset
    backbone = registry.backbone(recipes.TEXTBOOK.get(options.preset) or options.backbone)
    resolve_scope(typed.freeze_depth, typed.copied_stages, len(backbone.stages))
    with opened(options.source) as (report, _), opened(options.test) as (test, _):
        divided = split(report, seed=options.seed, test=test if options.test else None)
        config = _config(options, divided, len(backbone.stages))
        dataset = {
            "name": options.source.name,
            "fingerprint": report.fingerprint,
            "photos": len(report.photos),
            "skipped": len(report.left_out),
        }
        out = options.out.absolute()
        run = unfinished(out, config, report.fingerprint)
        if run is None:
            if config.pseudo_labels and report.unlabelled:
                guesses = guess_now(
                    report, config.pseudo_labels, default_root() / "weights", RunDirectory(out).kept, _tell_count
                )
                divided = split(report, seed=options.seed, test=test if options.test else None, guesses=guesses)
            out.mkdir(parents=True, exist_ok=True)
            run = store.fill(out, config, divided, title=options.source.name, dataset=dataset)
        yield _train(run)


def unfinished(folder: Path, config: TrainConfig, fingerprint: str) -> RunDirectory | None:
    """The run in ``folder`` that was not ended and has these photos and settings; None where the folder is empty.

    Raises:
        RunError: something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    run = RunDirectory(folder)
    if (folder / "config.json").is_file():
        info, known = run.info(), state.fold(store.read_events(run)[0])
        if info.config == config and info.fingerprint == fingerprint and known.status != "finished":
            run.stop_flag.unlink(missing_ok=True)
            return run
    raise RunError("runs.not_empty", folder=str(folder))


def evaluate_job(options: argparse.Namespace) -> Iterator[Json]:
    from core.inference.evaluate import evaluate
    from core.inference.predictor import Predictor

    predictor = Predictor.load(RunDirectory(options.run))
    with opened(options.source) as (report, _):
        samples, unknown = labelled(report, predictor.card.classes)
        results = _last(evaluate(predictor, samples, Path(report.root)), _tell)
        answer = results.to_json()
        del answer["answers"]
        yield {"run": str(options.run), "unknown_classes": unknown, **answer}


def predict_job(options: argparse.Namespace) -> Iterator[Json]:
    from core.inference.predictor import Predictor

    # Typing mistakes are told before a long unpacking; the photos of zips lie in a folder that goes at the end.
    with table_at(options.csv) as add_row, tempfile.TemporaryDirectory(prefix="graft-") as scratch:
        predictor = Predictor.load(RunDirectory(options.run))
        photos = batch.Photos(options.paths, Path(scratch))
        for answer in batch.watched(batch.answers(predictor, photos), photos.total, _tell_batch):
            add_row(answer)
            yield answer.to_json()
    sys.stderr.write("\n")


def export_job(options: argparse.Namespace) -> Iterator[Json]:
    from core.serve.bundled import export_told

    yield export_told(options.run, options.out, samples=not options.no_samples)


def serve_job(options: argparse.Namespace) -> Iterator[Json]:
    """Answer over HTTP until Ctrl-C; the address is told once it answers."""
    from core.serve.command import serve

    yield from serve(options)


def fetch_runtime_job(options: argparse.Namespace) -> Iterator[Json]:
    from core.serve import runtime

    yield {"runtime": str(runtime.fetch(options.source)), "version": runtime.VERSION, "files": list(runtime.SHA256)}


def backbones_job(options: argparse.Namespace) -> Iterator[Json]:
    rows = registry.table_rows(default_root() / "weights")
    for row in rows:
        accuracy = "      " if row["imagenet_top1"] is None else f"{row['imagenet_top1']:5.1f}%"
        print(
            f"{row['name']:22} {row['parameters'] / 1e6:7.1f} M {row['megabytes']:7.0f} MB {accuracy}  {row['where']}",
            file=sys.stderr,
        )
    yield {"backbones": rows}


def labelled(report: DatasetReport, classes: tuple[str, ...]) -> tuple[list[Sample], list[str]]:
    """The photos whose class the model knows, and the class names it doesn't. DataError when it knows none."""
    ours, places = spelling(classes), {name: place for place, name in enumerate(classes)}
    meant = ((photo, ours(photo.label)) for photo in report.photos)
    samples = [Sample(photo.path, places[label], photo.sha256) for photo, label in meant if label is not None]
    unknown = [label for label in report.classes if ours(label) is None]
    if not samples:
        raise DataError("terminal.no_known_class", folder=report.root, classes=", ".join(classes[:20]))
    return samples, unknown


@contextmanager
def opened(
    source: Path | None, facts: dict[str, Facts] | None = None
) -> Generator[tuple[DatasetReport, tuple[LeftOut, ...]]]:
    """The report on a folder or a zip; the zip's photos lie in a temporary folder until the block ends.

    ``facts`` is filled with what was measured of each photo.
    """
    if source is None:
        yield DatasetReport("", (), (), (), "classes"), ()
        return
    with tempfile.TemporaryDirectory(prefix="graft-") as scratch:
        folder, left_out = open_source(source, Path(scratch))
        report = scan(folder, on_progress=_tell_count, facts=facts)
        sys.stderr.write("\n")
        yield replace(report, left_out=(*report.left_out, *left_out)), left_out


def _config(options: argparse.Namespace, divided: Split, stages: int) -> TrainConfig:
    import torch

    facts = recipes.Facts(len(divided.train), len(divided.classes), stages, torch.cuda.is_available())
    config = recipes.recipe(options.preset, facts, backbone=options.backbone, seed=options.seed).config
    return _settings(options, config)


def _settings(options: argparse.Namespace, config: TrainConfig) -> TrainConfig:
    """What was typed wins over the preset."""
    settings = dict(_pair(text) for text in options.set)
    if options.freeze_depth is not None:
        settings.setdefault("freeze_depth", options.freeze_depth)
    return config.with_settings(settings)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigError("terminal.pair", text=text)
    return name.strip(), value.strip()


def _train(run: RunDirectory) -> Json:
    from core.runs.worker import follow

    for event in follow(run):
        _tell(event)
    sys.stderr.write("\n")
    folded = state.fold(store.read_events(run)[0])
    if folded.failed is not None:
        raise _as_error(folded.failed)
    return summary(run, folded)


def summary(run: RunDirectory, folded: state.RunState) -> Json:
    """What a finished run comes to, in one flat object."""
    info, split = run.info(), run.split()
    weights, started, ended = folded.weights, folded.started, folded.ended
    seconds = dict(ended.seconds or {}) if ended else {}
    return {
        "run": str(run.path),
        "backbone": info.config.backbone,
        "freeze_depth": weights.frozen_stages if weights else None,
        "trainable_parameters": weights.trainable_parameters if weights else None,
        "classes": list(split.classes),
        "images": info.dataset["photos"],
        "skipped": info.dataset["skipped"],
        "best_val_accuracy": ended.best_val_accuracy if ended else None,
        "test_accuracy": folded.evaluated.accuracy if folded.evaluated else None,
        "test_correct": folded.evaluated.correct if folded.evaluated else None,
        "test_total": folded.evaluated.total if folded.evaluated else None,
        "guessed_labels": sum(int(str(note.values["n"])) for note in split.notes if note.kind == "split_guessed"),
        "epochs": len(folded.epochs),
        "ended": ended.reason if ended else None,
        "seconds": round(sum(seconds.values()), 3),
        "seconds_by_phase": seconds,
        "device": started.device_name if started else None,
        "weights": {"name": weights.name, "source": weights.source, "sha256": weights.sha256} if weights else None,
        "seed": info.config.seed,
        "fingerprint": info.fingerprint,
    }


def _as_error(failed: Failed) -> Exception:
    from core.errors import CoreError

    if failed.error is not None:
        return CoreError.from_json(failed.error)
    return RuntimeError(failed.detail)


def _last(generator: Iterator[Any], each: Callable[[Any], None]) -> Any:
    """Run a generator to its end, looking at what it yields; returns what it returns."""
    while True:
        try:
            each(next(generator))
        except StopIteration as stop:
            return stop.value


def _tell_count(done: int, total: int) -> None:
    sys.stderr.write("\r" + say("terminal.scanned", done=done, total=total))
    sys.stderr.flush()


def _tell_batch(told: batch.Progress) -> None:
    line = say("many.progress", done=told.done, n=told.total, speed=f"{told.per_second:.1f}")
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()


def _tell_phase(phase: str, done: int, total: int) -> None:
    line = say("terminal.progress", phase=say(f"terminal.phase.{phase}"), done=done, total=total)
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()


def _tell(event: object) -> None:
    """One line for people, written over by the next of its kind."""
    match event:
        case WeightsReady():
            line = say("terminal.weights", name=event.name, source=event.source) + "\n"
        case Progress():
            line = say(
                "terminal.progress", phase=say(f"terminal.phase.{event.phase}"), done=event.done, total=event.total
            )
        case EpochEnded():
            val = say("training.no_validation") if event.val_accuracy is None else f"{event.val_accuracy:.3f}"
            line = say(
                "terminal.epoch", phase=say(f"terminal.phase.{event.phase}"), epoch=event.epoch, of=event.of,
                loss=f"{event.train_loss:.3f}", accuracy=val,
            )  # fmt: skip
        case Ended():
            line = "\n" + say(f"terminal.ended.{event.reason}")
        case _:
            return
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
