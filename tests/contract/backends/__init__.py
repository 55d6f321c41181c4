"""What every backend promises. `harness` is the fixture of whoever runs these tests."""
