"""Shared fixtures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def data() -> Path:
    """Folder of the recorded example."""
    return Path(__file__).parent / "data"
