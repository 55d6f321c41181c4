"""What all tests share."""

import pytest

# An assertion that fails there shows its values, as in a test.
pytest.register_assert_rewrite("tests.harness", "tests.contract")
