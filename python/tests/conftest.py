"""What the tests share: a fresh directory, and an open store in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import batpak


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[batpak.Store]:
    with batpak.Store(path, seed=1) as store:
        yield store
