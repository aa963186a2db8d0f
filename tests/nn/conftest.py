import pytest

# Helpers that compare show what differs, as the tests that call them do.
pytest.register_assert_rewrite("tests.nn.trace.staging", "tests.nn.weights.staging")
