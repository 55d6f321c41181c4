"""Where things are in the checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
MICRO = EXAMPLES / "whisper-micro"
CLUSTER = ROOT / "tests" / "cluster" / "testcluster" / "cluster"
"""The program that starts and stops a Kubernetes on this machine."""
CASES = ROOT / "tests" / "chart" / "cases"
"""Specs that the chart is rendered from."""
RECORDED = ROOT / "tests" / "backends" / "kubernetes" / "recorded"
"""Answers of a real API server."""
GOLDEN = ROOT / "tests" / "spec" / "golden_ids.json"
"""Recorded runs of both versions with their ids."""
STAGES = Path(__file__).parent / "stages"
"""Programs that stand in for stages."""
