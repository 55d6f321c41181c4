"""Checks of all that a run needs before it is submitted: on this machine, or on a cluster."""

from jobrunner.backends.kubernetes.api.kubeconfig import is_configured as sees_cluster
from jobrunner.doctor.check import Check
from jobrunner.doctor.cluster import examine_cluster
from jobrunner.doctor.machine import examine

__all__ = ["Check", "examine", "examine_cluster", "sees_cluster"]
