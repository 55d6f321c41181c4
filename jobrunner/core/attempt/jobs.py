"""The Jobs of a run for its own pods, which may read and change each one by name.

Plain HTTPS with the pod's own token. Importing the official client for these two requests would
cost each stage 1.6 s and 60 MB.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request

from jobrunner.chart.jobs import Object
from jobrunner.chart.pod import Account, own_account
from jobrunner.errors import ClusterError
from jobrunner.spec import names

SECONDS_TO_ANSWER = 15.0


class Away(ClusterError):
    """The API server does not answer or is busy; another try may succeed."""


class Jobs:
    """Jobs of one run.

    Args:
        account: account of the pod.
        namespace: namespace of the run.
        run: the run id.
    """

    def __init__(self, account: Account, namespace: str, run: str) -> None:
        self._prefix = f"{account.server}/apis/batch/v1/namespaces/{namespace}/jobs/"
        self._run = run
        self._account = account
        self._trust = ssl.create_default_context(cafile=account.authority)

    def get(self, stage: str) -> Object | None:
        """The Job of a stage; None if there is none.

        Raises:
            Away: try again.
            ClusterError: reading it is not allowed.
        """
        return self._ask("GET", stage)

    def patch(self, stage: str, changes: Object) -> Object | None:
        """Merges changes into the Job of a stage and returns the result; None if there is no Job.

        Raises:
            Away: try again.
            ClusterError: the change is not allowed.
        """
        return self._ask("PATCH", stage, changes)

    def _ask(self, method: str, stage: str, body: Object | None = None) -> Object | None:
        name = names.job_name(self._run, stage)
        request = urllib.request.Request(
            self._prefix + name,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._account.token.read_text().strip()}",
                "Content-Type": "application/merge-patch+json",
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(
                request, timeout=SECONDS_TO_ANSWER, context=self._trust
            ) as response:
                job: Object = json.load(response)
                return job
        except urllib.error.HTTPError as error:
            with error:
                answer = error.read(4096).decode(errors="replace")
            if error.code == 404:
                return None
            if error.code in {401, 408, 409, 429} or error.code >= 500:
                raise Away(f"The API server answers {error.code} for {name}.") from None
            raise ClusterError(f"Job {name} cannot be changed: {_message(answer)}.") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Away(f"The API server does not answer: {reason}.") from None


def own_jobs(run: str) -> Jobs | None:
    """The Jobs of a run, for one of its pods; None outside a pod, or without a token."""
    namespace, account = os.environ.get("JOBRUNNER_NAMESPACE"), own_account()
    return Jobs(account, namespace, run) if namespace and account else None


def _message(answer: str) -> str:
    try:
        message = str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        message = answer
    return " ".join(message.split())[:300].rstrip(".")
