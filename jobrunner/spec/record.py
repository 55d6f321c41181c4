"""The record of a run, `run.json`: its spec, and the id that a submit gave it.

The id is data. The submit that creates the run computes it once, and it travels in run.json, in
labels and in a pod's environment; nothing computes it again. New specs are read strictly
(`parsing.py`), records leniently: a client must be able to show runs of newer clients.

    {"version": 2, "run": "el-whisper-small-1f6e09ab", "digest": "1f6e09ab…", "client": "0.1.0",
     "spec": {…}}    only fields that differ from their defaults, so an unknown field does matter;
                     and the image, because its default differs from version to version
    {…}              version 1: only the spec, with all fields
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from jobrunner.catalog import installed
from jobrunner.errors import SpecError, UnreadableRun
from jobrunner.spec import identity, names
from jobrunner.spec.parsing import first_problem
from jobrunner.spec.run import RunSpec
from jobrunner.spec.types import RECORDED

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as it was submitted."""

    run: str
    """The run id."""
    digest: str
    """SHA-256 (hex) of the fields that determine its result."""
    spec: RunSpec
    client: str = installed.__version__
    """Version of the client that wrote it."""
    unknown: tuple[str, ...] = ()
    """Paths of fields that this version does not know and left out of the spec."""

    def with_spec(self, spec: RunSpec) -> RunRecord:
        """The run with other options, written by this client."""
        return replace(self, spec=spec, client=installed.__version__)


def new_record(spec: RunSpec) -> RunRecord:
    """Makes the record of a run that is submitted. Ids of runs are computed only here."""
    digest = identity.digest(spec)
    run = names.run_id(spec.lang, spec.model, digest)
    return RunRecord(run=run, digest=digest, spec=spec)


def write_record(record: RunRecord) -> str:
    """The record as JSON that people can read too."""
    spec = record.spec.model_dump(mode="json", exclude_defaults=True)
    spec["cluster"] = {"image": record.spec.cluster.image, **spec.get("cluster", {})}
    content = {
        "version": FORMAT,
        "run": record.run,
        "digest": record.digest,
        "client": record.client,
        "spec": {"version": record.spec.version, **spec},
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def read_record(text: str | bytes) -> RunRecord:
    """Reads a `run.json`, whichever client wrote it.

    Raises:
        UnreadableRun: a newer client wrote it in a form unknown here, or it is damaged.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        first = "spec" not in content
        client = "" if first else str(content["client"])
        if not first and content["version"] > FORMAT:
            raise UnreadableRun(newer(client))
        spec, unknown = _lenient(content if first else content["spec"], client)
        if first:
            return replace(new_record(spec.model_copy(update={"version": 1})), unknown=unknown)
        return RunRecord(
            run=names.check_run_id(content["run"]),
            digest=str(content["digest"]),
            spec=spec,
            client=client,
            unknown=unknown,
        )
    except SpecError as error:
        raise UnreadableRun(f"Its record is damaged: {error.message}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableRun(f"Its record is damaged: {error}.") from None


def newer(client: str) -> str:
    """Message about a run that a newer client made."""
    return f"made by a newer jobrunner{f' ({client})' if client else ''}"


def _lenient(values: Any, client: str) -> tuple[RunSpec, tuple[str, ...]]:
    """The spec without the fields that are unknown here, and the paths of these fields."""
    unknown: list[str] = []
    while True:
        try:
            spec = RunSpec.model_validate_json(json.dumps(values), context=RECORDED)
            return spec, tuple(unknown)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            surplus = [problem for problem in problems if problem["type"] == "extra_forbidden"]
            # An item with surplus fields counts as missing from its list, so these go first.
            if not surplus:
                raise _unreadable(first_problem(error), client) from None
            for problem in surplus:
                *path, name = problem["loc"]
                held = values
                for part in path:
                    held = held[part]
                del held[name]
                unknown.append(".".join(map(str, problem["loc"])))
        except SpecError as error:
            raise _unreadable(error, client) from None


def _unreadable(error: SpecError, client: str) -> UnreadableRun:
    if client and installed.is_newer(client):
        return UnreadableRun(newer(client))
    return UnreadableRun(f"Its record cannot be read: {error}")
