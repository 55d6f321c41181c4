"""The types of values that are not of one field only."""

from __future__ import annotations

import pytest

from jobrunner.spec.types import storage_url


@pytest.mark.parametrize("bucket", ["abc", "a-b.c1", "0" * 63, "1.2.3", "speech.runs"])
def test_the_name_of_a_bucket_is_taken(bucket: str) -> None:
    assert storage_url(f"s3://{bucket}/runs/") == f"s3://{bucket}/runs"


@pytest.mark.parametrize(
    "bucket", ["ab", "Abc", "a..b", "-abc", "abc-", "a_b", "10.0.0.1", "a" * 64]
)
def test_what_s3_refuses_as_a_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="is not a bucket name"):
        storage_url(f"s3://{bucket}/runs")
