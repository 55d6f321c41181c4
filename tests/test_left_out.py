"""Which of the tests in tests/cluster are left out where the tester brought a cluster.

It is not one of them: it needs no cluster, and `make test` runs it wherever it leaves those out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.harness.paths import ROOT


def _collected(*paths: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, output, and the line on what was left out."""
    known = {name: text for name, text in os.environ.items() if name != "JOBRUNNER_TEST_IMAGE"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", *paths],
        cwd=ROOT,
        env={**known, "KUBECONFIG": "mine", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("Left out: ")]
    return done.returncode, done.stdout, line


def test_without_an_image_all_are_left_out_and_one_line_says_what_is_missing() -> None:
    code, told, line = _collected("tests/cluster/test_smoke.py")

    assert code == 5, told  # pytest's code where no test is left
    assert line.startswith("Left out: 3 tests on a real cluster. KUBECONFIG is set: ")
    assert "JOBRUNNER_TEST_IMAGE must name the image of this checkout" in line


def test_those_that_stop_parts_of_a_cluster_are_left_out_on_the_testers_own() -> None:
    code, told, line = _collected("tests/cluster", JOBRUNNER_TEST_IMAGE="registry/jobrunner:test")

    assert code == 0, told
    assert "`make cluster-up` starts one" in line
    left_out = int(line.split()[2])
    found = re.search(r"(\d+)/(\d+) tests collected", told)
    assert found
    assert int(found[2]) - int(found[1]) == left_out > 0
    assert "test_smoke.py::" in told


def test_the_page_for_testers_names_the_variables() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for name in ("KUBECONFIG", "JOBRUNNER_TEST_IMAGE", "AWS_ENDPOINT_URL_S3"):
        assert f"{name}=" in page


def test_tests_on_a_gpu_are_left_out_where_none_is_visible() -> None:
    code, told, line = _collected("tests/test_gpu.py", CUDA_VISIBLE_DEVICES="")

    assert code == 5, told
    assert re.fullmatch(r"Left out: \d tests on a GPU\. None is visible\.", line)
