"""What all implementations of a protocol promise: suites that the tests of each one run."""
