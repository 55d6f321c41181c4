"""Helpers of the tests on a real cluster."""
