"""What all tests share."""

import pytest

# Their assertions tell as much as those of the tests when they fail.
pytest.register_assert_rewrite("tests.harness", "tests.contract")
