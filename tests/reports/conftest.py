import pytest
from report_samples import synthetic_predictions


@pytest.fixture
def predictions():
    return synthetic_predictions()
