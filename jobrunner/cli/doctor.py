"""`jobrunner doctor`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from jobrunner.catalog.backends import LOCAL
from jobrunner.cli.options import output_option
from jobrunner.cli.output import escape, out, paint, structured
from jobrunner.errors import JobrunnerError

if TYPE_CHECKING:
    from jobrunner.config import Configuration
    from jobrunner.doctor import Check

SHOWN = {"ok": ("ok", "green"), "note": ("note", "yellow"), "fix": ("fix", "red")}


@click.command(
    epilog="""\b
Examples:
  jobrunner doctor
  jobrunner doctor --storage /data/jobrunner
"""
)
@click.option("--storage", metavar="URL", help="The storage to check.  [default: as configured]")
@click.option("--local", is_flag=True, help="Check this machine even if there is a cluster.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace.  [default: as configured]")
@output_option("table", "json", "yaml")
def command(storage: str | None, local: bool, namespace: str | None, kind: str) -> None:
    """Check the cluster, or this machine, for all that a run needs.

    The cluster is checked if there is a kubeconfig; one pod is started to see whether the image
    can be pulled. The exit code is 1 if something must be fixed; notes need no action.
    """
    from jobrunner import config, doctor

    typed = (("--storage", "storage", storage), ("--namespace", "cluster.namespace", namespace))
    flags = [config.Flag(origin=o, path=path, text=text) for o, path, text in typed if text]
    here = local or not doctor.sees_cluster()
    configuration = config.load(flags=flags, backend=LOCAL if here else "")
    configuration.check()
    place = configuration.facts.where
    checks = _checks(configuration)
    if kind != "table":
        out(structured(kind, {"checks": [dataclasses.asdict(check) for check in checks]}))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            word, colour = SHOWN[check.verdict]
            out(f"{paint(f'{word:<4}', colour)}  {check.name:<{width}}  {escape(check.found)}")
            if check.advice:
                out(f"{'':<{width + 8}}{escape(check.advice)}")
    broken = sum(check.verdict == "fix" for check in checks)
    if broken:
        raise JobrunnerError(f"{broken} thing{'s' * (broken > 1)} to fix before a run {place}.")


def _checks(configuration: Configuration) -> list[Check]:
    from jobrunner import doctor
    from jobrunner import spec as specs
    from jobrunner.spec.paths import nested

    storage = str(configuration.values["storage"].value)
    if configuration.facts.is_here:
        return doctor.examine(storage, str(configuration.values["cluster.storage_endpoint"].value))
    placed = {
        path: value.value
        for path, value in configuration.values.items()
        if path.startswith(("resources.", "cluster."))
    }
    # The language does not matter here.
    parsed = specs.parse(nested({"lang": "en", **placed}))
    return doctor.examine_cluster(storage, parsed.resources, parsed.cluster)
