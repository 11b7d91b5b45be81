"""The connection to the site: messages as lines of JSON over a unix socket (docs/spec/trainer-bridge.md)."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from typing import Any

from fedstream._errors import BridgeError

PROTOCOL = 1
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
GONE = "the site is gone; nobody will take this program's result"


class Bridge:
    """One connection. Messages may be sent from several threads; one at a time receives."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sending = threading.Lock()
        self._rest = b""
        try:
            self._socket.connect(path)
        except OSError as error:
            raise BridgeError(f"the site is not there: {error}") from error

    def send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, allow_nan=False).encode() + b"\n"
        if len(line) > MAX_MESSAGE_BYTES:
            raise BridgeError(f"a message of {len(line)} bytes is too long; at most {MAX_MESSAGE_BYTES} are taken")
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError as error:
            raise BridgeError(GONE) from error

    def receive(self) -> dict[str, Any]:
        pieces = [self._rest]
        size = len(self._rest)
        while b"\n" not in pieces[-1]:
            try:
                piece = self._socket.recv(65_536)
            except OSError as error:
                raise BridgeError(GONE) from error
            size += len(piece)
            if not piece:
                raise BridgeError(GONE)
            if size > 2 * MAX_MESSAGE_BYTES:
                raise BridgeError("the site sent a line without an end")
            pieces.append(piece)
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        message = json.loads(line)
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise BridgeError(f"the site sent a line that is no message: {line[:80]!r}")
        return message

    def close(self) -> None:
        self._socket.close()
