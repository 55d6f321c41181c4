"""A stage without a model, for tests of backends: `local.py prepare|train|evaluate [--lang L]`.

It stores an export, by default without files, and nothing else. It keeps the contract of `python -m
jobrunner.core` (environment, log, progress, SIGTERM) and is steered by files in $STAGE_CONTROL:

    journal             it appends `TIME WHAT STAGE RUN ATTEMPT PID DEVICES` when it begins and ends
    hold-STAGE          it continues when this file is gone
    codes-STAGE         exit codes of its attempts, one per line; 0 after the last one
    deaf-STAGE          SIGTERM is ignored
    progress-STAGE      other fields of its progress, as JSON
    export              path of the folder that training stores as its export
    alone               it fails if another stage with this file runs at the same time
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

CONTROL = Path(os.environ["STAGE_CONTROL"])
STAGE = sys.argv[1] if "--lang" not in sys.argv else f"evaluate-{sys.argv[3]}"
ATTEMPT = os.environ["JOBRUNNER_ATTEMPT"]
RECORD = json.loads(Path(os.environ["JOBRUNNER_SPEC"]).read_text())
SPEC, RUN = RECORD["spec"], RECORD["run"]
LANGUAGES = SPEC.get("evaluate", {}).get("languages") or [SPEC["lang"]]


def journal(what: str) -> None:
    devices = os.environ.get("CUDA_VISIBLE_DEVICES") or "-"
    line = f"{time.time():.6f} {what} {STAGE} {RUN} {ATTEMPT} {os.getpid()} {devices}\n"
    fd = os.open(CONTROL / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line.encode())
    os.close(fd)


def say(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


def progress(done: float) -> None:
    path = Path(os.environ["JOBRUNNER_PROGRESS_FILE"])
    temporary = path.with_suffix(f".{os.getpid()}")
    others = CONTROL / f"progress-{STAGE}"
    more = json.loads(others.read_text()) if others.exists() else {}
    now = {"message": "working", "done": done, "steps": 100, **more}
    temporary.write_text(json.dumps(now))
    temporary.replace(path)


def stop(number: int, frame: FrameType | None) -> None:
    journal("stopped")
    say("stops as asked")
    sys.exit(143)


def store(export: Path) -> None:
    """Stores the export, its manifest last."""
    export.mkdir(parents=True, exist_ok=True)
    given = CONTROL / "export"
    files = {}
    for path in Path(given.read_text()).iterdir() if given.exists() else ():
        data = path.read_bytes()
        (export / path.name).write_bytes(data)
        files[path.name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (export / "manifest.json").write_text(json.dumps({"files": files}))


def main() -> int:
    deaf = (CONTROL / f"deaf-{STAGE}").exists()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else stop)
    tries = 0
    if (CONTROL / "journal").exists():
        lines = (CONTROL / "journal").read_text().splitlines()
        tries = sum(line.split()[1:4] == ["begins", STAGE, RUN] for line in lines)
    journal("begins")
    say(f"{STAGE} begins with {', '.join(LANGUAGES)}")
    progress(0.5)
    while (CONTROL / f"hold-{STAGE}").exists():
        time.sleep(0.02)
    codes = CONTROL / f"codes-{STAGE}"
    exit_codes = codes.read_text().split() if codes.exists() else []
    code = int(exit_codes[tries]) if tries < len(exit_codes) else 0
    if code:
        say(f"error: {STAGE} cannot go on, try {tries + 1}.")
    else:
        if STAGE == "train":
            export = Path(SPEC["storage"]) / "runs" / RUN / "export"
            store(export)
        progress(1.0)
        say(f"{STAGE} is done")
    journal("ends")
    return code


sys.exit(main())
