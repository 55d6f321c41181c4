"""What all tests share."""

from pathlib import Path

import pytest

# An assertion that fails there shows its values, as in a test.
pytest.register_assert_rewrite("tests.harness", "tests.contract")

ON_A_GPU = Path(__file__).with_name("test_gpu.py")
LEFT_OUT = pytest.StashKey[str]()


def _gpu_is_visible() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs a GPU; left out where none is visible")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    if left_out and not _gpu_is_visible():
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        config.stash[LEFT_OUT] = f"Left out: {len(left_out)} tests on a GPU. None is visible."


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    message = config.stash.get(LEFT_OUT, "")
    asked = any(
        ON_A_GPU.is_relative_to(Path(each.split("::")[0]).resolve()) for each in config.args
    )
    # With several processes only these collect, and this one does not know what they left out.
    if not message and asked and config.getoption("numprocesses", None) and not _gpu_is_visible():
        message = "Left out: the tests on a GPU. None is visible."
    if message:
        terminalreporter.write_line(message)
