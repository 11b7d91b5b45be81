"""The state of a program in a federation: which task is open, what was received, what may be asked next."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fedstream import _files
from fedstream._bridge import PROTOCOL, Bridge, finite
from fedstream._errors import BridgeError, NotFederatedError
from fedstream._model import Array, Evaluation, Extras, Model, Tensor

BRIDGE_VARIABLE = "FEDSTREAM_BRIDGE"
Level = Literal["debug", "info", "warn", "error"]
Params = Mapping[str, Array | Tensor]
Initial = Params | Callable[[], Params] | None

# As the site has them (docs/spec/trainer-bridge.md, "Extras and figures").
_EXTRA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_EXTRAS = 16


class Client:
    """One site, one connection."""

    def __init__(self, bridge: Bridge, initial: Initial, files: Callable[[], Mapping[str, str]] | None) -> None:
        self._bridge = bridge
        self._initial = initial
        self._files = files
        self._task: dict[str, Any] | None = None
        self._over = False
        self.current_round = 0
        bridge.send({"type": "hello", "protocol": PROTOCOL, "client": f"fedstream-python {sys.version_info[0]}.{sys.version_info[1]}"})
        welcome = bridge.receive()
        if welcome["type"] != "welcome" or welcome.get("protocol") != PROTOCOL:
            raise BridgeError(f"the site speaks another version of the bridge: {welcome}")
        self.site: str = welcome["site"]
        self.folder: str = welcome["folder"]
        self.job: dict[str, Any] = welcome["job"]

    @staticmethod
    def address() -> str | None:
        return os.environ.get(BRIDGE_VARIABLE)

    @classmethod
    def connect(cls, initial: Initial = None, files: Callable[[], Mapping[str, str]] | None = None) -> Client:
        address = cls.address()
        if address is None:
            raise NotFederatedError(f"{BRIDGE_VARIABLE} is not set: `fedstream client` starts this program, not a person (docs/site.md)")
        if not address.startswith("unix:"):
            raise BridgeError(f"{BRIDGE_VARIABLE} is {address}, which is no address of a site")
        return cls(Bridge(address.removeprefix("unix:")), initial, files)

    def is_running(self) -> bool:
        if self._over:
            return False
        if self._task is not None:
            raise BridgeError(f"{self._task['id']} has no answer yet: call send() before the next is_running()")
        while True:
            self._bridge.send({"type": "receive"})
            message = self._bridge.receive()
            if message["type"] == "stop":
                self._over = True
                self._bridge.close()
                return False
            if message["type"] != "task":
                raise BridgeError(f"the site sent {message['type']!r} in place of a task")
            if message["kind"] == "offer":
                self._offer(message)
                continue
            self._task = message
            self.current_round = message["round"]
            return True

    def receive(self, framework: Literal["numpy", "torch"]) -> Model[Any]:
        if self._task is None and not self.is_running():
            raise BridgeError("there are no more tasks: ask is_running() first")
        task = self._open()
        read: Callable[[str], dict[str, Any]] = _files.read_torch if framework == "torch" else _files.read_numpy
        extras: Extras[Any] = Extras(task.get("extras") or {}, read)
        return Model(read(task["model"]), task["kind"], task["round"], task["rounds"], extras, task.get("figures") or {})

    def send(
        self,
        params: Params | None,
        samples: int,
        steps: int,
        train_loss: float,
        evaluation: Evaluation | None,
        metrics: Mapping[str, float] | None,
        extras: Mapping[str, Params] | None = None,
    ) -> None:
        task = self._open()
        _check_names(extras or {})
        message: dict[str, Any] = {"type": "result", "task": task["id"], "metrics": finite(metrics)}
        if evaluation is not None:
            message["evaluation"] = evaluation.message()
        if task["kind"] == "train":
            if params is None:
                raise BridgeError("a task of training is answered with a model: send(params, …)")
            names, ties, _ = _files.read_header(task["model"])
            _files.write(task["result"], params, names, ties)
            message |= {"samples": int(samples), "steps": int(steps), "trainLoss": float(train_loss)}
            if extras:
                for name, tensors in extras.items():
                    _files.write(f"{task['result']}.{name}.safetensors", tensors, tensors)
                message["extras"] = list(extras)
        self._bridge.send(message)
        self._task = None

    def log(self, message: str | None, level: Level, step: int | None, loss: float | None, learning_rate: float, tokens: int) -> None:
        if message is not None:
            self._bridge.send({"type": "log", "level": level, "message": message})
        if step is not None and loss is not None:
            figures = {"step": int(step), "loss": float(loss), "learningRate": float(learning_rate), "tokens": int(tokens)}
            self._bridge.send({"type": "step", **figures})
        if message is None and step is None:
            self._bridge.send({"type": "alive"})

    def _offer(self, task: dict[str, Any]) -> None:
        initial = self._initial() if callable(self._initial) else self._initial
        if initial is None:
            raise BridgeError("the server has no model and this program none to offer: init(initial=…), or give the job a model folder")
        _files.write(task["result"], initial)
        self._bridge.send({"type": "result", "task": task["id"], "files": dict(self._files() if self._files else {})})

    def _open(self) -> dict[str, Any]:
        if self._task is None:
            raise BridgeError("there is no task: ask is_running() first")
        return self._task


def _check_names(extras: Mapping[str, Params]) -> None:
    if len(extras) > _MAX_EXTRAS:
        raise BridgeError(f"{len(extras)} extras are too many; at most {_MAX_EXTRAS} go with a model")
    for name in extras:
        if not _EXTRA_NAME.fullmatch(name) or name.lower() == "model":
            raise BridgeError(
                f"an extra cannot be named {name!r}; a name has 1 to 64 letters, digits, dots, dashes or underscores, "
                "begins with a letter or a digit, and is not 'model'"
            )
    if len({name.lower() for name in extras}) < len(extras):
        raise BridgeError(f"the names of extras must differ in more than case: {', '.join(extras)}")
