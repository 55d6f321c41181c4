"""`jobrunner render`."""

from __future__ import annotations

import click

from jobrunner.cli.options import RunOptions, spec_options
from jobrunner.cli.output import out, warn
from jobrunner.errors import SpecError


@click.command(
    epilog="""\b
Examples:
  jobrunner render --lang el --storage s3://speech/runs
  jobrunner render --lang el --profile a100-80gb --storage s3://speech/runs > run.yaml
"""
)
@spec_options(leave_out=("--local",))
def command(options: RunOptions) -> None:
    """Print the Kubernetes manifests of a run.

    Exactly what `submit` sends to the cluster. Nothing is sent or started: it works offline,
    and the same spec gives the same text.
    """
    from jobrunner.runner.prepare import manifests, prepare

    spec = options.load().spec()
    if not spec.storage:
        hint = "Give --storage s3://BUCKET/PREFIX for the cluster."
        raise SpecError("storage", "is not given.", hint=hint)
    ready = prepare(spec, backend="kubernetes")
    for warning in ready.warnings:
        warn(warning)
    out(manifests(ready.plan).rstrip("\n"))
