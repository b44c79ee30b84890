"""Graft from a terminal: ``python -m core scan|doctor|train|evaluate|predict|export|backbones``.

Progress for people goes to stderr; the last line of stdout is one JSON object (``predict``: one a photo).
Exit status: 0 done, 2 the user's mistake (message and hint on stderr, as JSON on stdout), 1 ours.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from core import jobs, recipes
from core.errors import CoreError
from core.words import say

Job = Callable[[argparse.Namespace], Iterator[dict[str, Any]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        for answer in options.job(options):
            print(_json(answer), flush=True)
    except CoreError as error:
        print(f"{error.message}\n{error.hint}", file=sys.stderr)
        print(_json({"error": error.message, "hint": error.hint, "key": error.key}))
        return 2
    except KeyboardInterrupt:
        print(say("terminal.interrupted"), file=sys.stderr)
        return 1
    except Exception as error:
        traceback.print_exc()
        print(_json({"error": f"{type(error).__name__}: {error}"}))
        return 1
    return 0


def _json(answer: dict[str, Any]) -> str:
    """One line that this terminal can show: letters that it can't, and names that aren't UTF-8, as ``\\u`` escapes."""
    text = json.dumps(answer, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return json.dumps(answer)
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description=say("terminal.about"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    scan = _command(commands, "scan", jobs.scan_job)
    scan.add_argument("source", type=Path, metavar="FOLDER_OR_ZIP")
    doctor = _command(commands, "doctor", jobs.doctor_job)
    doctor.add_argument("source", type=Path, metavar="FOLDER_OR_ZIP")
    train = _command(commands, "train", jobs.train_job)
    train.add_argument("source", type=Path, metavar="FOLDER_OR_ZIP")
    train.add_argument("--out", type=Path, required=True, metavar="RUN_DIR")
    train.add_argument("--test", type=Path, metavar="FOLDER", help=say("terminal.test"))
    train.add_argument("--backbone", metavar="NAME", default="efficientnet_lite0")
    train.add_argument("--freeze-depth", metavar="all|N|none", help=say("terminal.freeze_depth"))
    train.add_argument("--preset", default="fast", choices=(*recipes.PRESETS, *recipes.TEXTBOOK))
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=say("terminal.set"))
    evaluate = _command(commands, "evaluate", jobs.evaluate_job)
    evaluate.add_argument("run", type=Path, metavar="RUN_DIR")
    evaluate.add_argument("source", type=Path, metavar="FOLDER")
    predict = _command(commands, "predict", jobs.predict_job)
    predict.add_argument("run", type=Path, metavar="RUN_DIR")
    predict.add_argument("paths", type=Path, nargs="+", metavar="PATH", help=say("many.paths"))
    predict.add_argument("--csv", type=Path, metavar="FILE", help=say("many.csv"))
    export = _command(commands, "export", jobs.export_job)
    export.add_argument("run", type=Path, metavar="RUN_DIR")
    export.add_argument("--out", type=Path, required=True, metavar="BUNDLE.zip", help=say("export.command.out"))
    export.add_argument("--no-samples", action="store_true", help=say("export.command.no_samples"))
    _add_serve(_command(commands, "serve", jobs.serve_job))
    fetch = _command(commands, "fetch-runtime", jobs.fetch_runtime_job)
    fetch.add_argument("--from", type=Path, dest="source", metavar="FILE", help=say("serve.option.from"))
    _command(commands, "backbones", jobs.backbones_job)
    return parser


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("run", type=Path, metavar="RUN_DIR", help=say("serve.option.run"))
    serve.add_argument("--port", type=int, required=True, metavar="N", help=say("serve.option.port"))
    serve.add_argument("--host", default="127.0.0.1", help=say("serve.option.host"))
    serve.add_argument("--token", metavar="T", help=say("serve.option.token"))
    serve.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help=say("serve.option.cors"))
    serve.add_argument("--name", action="append", default=[], metavar="NAME", help=say("serve.option.name"))


def _command(commands: Any, name: str, job: Job) -> argparse.ArgumentParser:
    """``commands`` is what ``add_subparsers`` returns; argparse keeps its type to itself."""
    command = commands.add_parser(name, help=say(f"terminal.command.{name}"))
    command.set_defaults(job=job)
    return command


if __name__ == "__main__":
    sys.exit(main())
