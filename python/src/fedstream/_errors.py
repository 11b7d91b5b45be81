"""What can go wrong between a training program and its site."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """The site is gone, or what was asked of it cannot be."""


class NotFederatedError(BridgeError):
    """No site started this program."""
