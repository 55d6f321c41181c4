"""`jobrunner doctor`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from jobrunner.cli.options import output_option
from jobrunner.cli.output import escape, out, paint, structured
from jobrunner.errors import JobrunnerError

if TYPE_CHECKING:
    from jobrunner.config import Configuration
    from jobrunner.doctor import Check

SHOWN = {"ok": ("ok", "green"), "note": ("note", "yellow"), "mend": ("mend", "red")}


@click.command(
    epilog="""\b
Examples:
  jobrunner doctor
  jobrunner doctor --storage /data/jobrunner
"""
)
@click.option("--storage", metavar="URL", help="The storage to check.  [default: as configured]")
@click.option("--local", is_flag=True, help="Check this machine, though there is a cluster.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace.  [default: as configured]")
@output_option("table", "json", "yaml")
def command(storage: str | None, local: bool, namespace: str | None, kind: str) -> None:
    """Check the cluster, or this machine, for all that a run needs.

    The cluster is checked if there is a kubeconfig; one pod is started to see whether the image
    can be pulled. Exit code 1 when something must be mended; a note is something to know.
    """
    from jobrunner import config
    from jobrunner.backends.kubernetes.api.kubeconfig import is_configured

    typed = (("--storage", "storage", storage), ("--namespace", "cluster.namespace", namespace))
    flags = [config.Flag(origin=o, path=path, text=text) for o, path, text in typed if text]
    configuration = config.load(flags=flags, local=local or not is_configured())
    configuration.check()
    place = "local" if configuration.local else "cluster"
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
    broken = sum(check.verdict == "mend" for check in checks)
    if broken:
        raise JobrunnerError(f"{broken} thing{'s' * (broken > 1)} to mend before a {place} run.")


def _checks(configuration: Configuration) -> list[Check]:
    from jobrunner import doctor
    from jobrunner import spec as specs

    storage = str(configuration.values["storage"].value)
    if configuration.local:
        return doctor.examine(storage)
    nested: dict[str, dict[str, Any]] = {"resources": {}, "cluster": {}}
    for path, told in configuration.values.items():
        section, _, name = path.rpartition(".")
        if section in nested:
            nested[section][name] = told.value
    # The language plays no part in it.
    parsed = specs.parse({"lang": "en", **nested})
    return doctor.examine_cluster(storage, parsed.resources, parsed.cluster)
