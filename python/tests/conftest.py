"""Every test begins without a connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fedstream


@pytest.fixture(autouse=True)
def unconnected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(fedstream.BRIDGE_VARIABLE, raising=False)
    monkeypatch.setattr(fedstream, "_client", None)
    yield
