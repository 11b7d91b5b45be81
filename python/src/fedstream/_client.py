"""The state of a program in a federation: which task is open, what was received, what may be asked next."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from fedstream import _files
from fedstream._bridge import PROTOCOL, Bridge
from fedstream._errors import BridgeError, NotFederatedError, refuse_diverged, refuse_misfit
from fedstream._figures import Figures, count_of, number_of
from fedstream._model import Array, Evaluation, Extras, Model, Tensor

BRIDGE_VARIABLE = "FEDSTREAM_BRIDGE"
Level = Literal["debug", "info", "warn", "error"]
Params = Mapping[str, Array | Tensor]
Initial = Params | Callable[[], Params] | None

# As the site has them (docs/spec/trainer-bridge.md, "Extras and figures").
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_EXTRAS = 16
_ABILITY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
MAX_FINGERPRINTS = 64
_MAX_FINGERPRINT_CHARACTERS = 128
_MAX_LINE_CHARACTERS = 65_536
# Of all texts of an offer together.
_MAX_TEXT_BYTES = 1024 * 1024
_LEVELS = ("debug", "info", "warn", "error")


class Client:
    """One site, one connection."""

    def __init__(self, bridge: Bridge, initial: Initial, files: Callable[[], Mapping[str, str]] | None) -> None:
        self._bridge = bridge
        self._initial = initial
        self._files = files
        self._task: dict[str, Any] | None = None
        self._over = False
        self._extras: Extras[Any] = Extras({}, lambda _: {})
        self._figures = Figures(self.warn)
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

    def about(self, fingerprints: Mapping[str, str], knows: Collection[str] | None = None) -> None:
        """Tells what the training rests on; the server compares it with what other sites tell. And what it knows beyond plain training."""
        if not fingerprints and knows is None:
            return
        _check_fingerprints(fingerprints)
        message: dict[str, Any] = {"type": "about", "fingerprints": dict(fingerprints)}
        if knows is not None:
            strange = [name for name in knows if not _ABILITY.fullmatch(name)]
            if strange:
                raise BridgeError(f"{strange[0]!r} is no name of what a program knows; one has 1 to 32 letters, digits, dashes or underscores, a letter first")
            message["knows"] = sorted(set(knows))
        self._bridge.send(message)

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
        self._extras = extras
        params = read(task["model"])
        if isinstance(self._initial, Mapping):
            _check_initial(self._initial, params)
        return Model(params, task["kind"], task["round"], task["rounds"], extras, task.get("figures") or {})

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
        self._check_stack()
        message: dict[str, Any] = {"type": "result", "task": task["id"], "metrics": self._figures.metrics(metrics)}
        figures = self._figures.evaluation(evaluation)
        if figures is not None:
            message["evaluation"] = figures
        if task["kind"] == "train":
            if params is None:
                raise BridgeError("a task of training is answered with a model: send(params, …)")
            message |= {"samples": count_of(samples, "samples", 1), "steps": count_of(steps, "steps", 0)}
            message["trainLoss"] = self._train_loss(train_loss, params)
            names, ties, _ = _files.read_header(task["model"])
            _files.write(task["result"], params, names, ties)
            if extras:
                for name, tensors in extras.items():
                    _files.write(f"{task['result']}.{name}.safetensors", tensors, tensors)
                message["extras"] = list(extras)
        self._bridge.send(message)
        self._task = None

    @property
    def parts(self) -> dict[str, Any] | None:
        """What the open task says of the parts in which its model is exchanged."""
        return (self._task or {}).get("parts")

    def send_part(self, segment: int, params: Params, names: Iterable[str], samples: int, steps: int, train_loss: float) -> None:
        """Sends those tensors, with which a segment ends; they are written before this returns."""
        task = self._open()
        _files.write(f"{task['result']}.{segment}.safetensors", params, names)
        figures = {"samples": count_of(samples, "samples", 1), "steps": count_of(steps, "steps", 0)}
        self._bridge.send({"type": "part", "task": task["id"], "segment": segment, "trainLoss": self._train_loss(train_loss, params), **figures})

    def receive_part(self, segment: int) -> dict[str, Tensor]:
        """The next global values of what a segment has sent; waits for them."""
        message = self._bridge.receive()
        if message["type"] != "merge" or message.get("segment") != segment:
            raise BridgeError(f"the site sent {message['type']!r} in place of the values to merge after segment {segment}")
        return _files.read_torch(message["model"])

    def end_parts(self) -> None:
        """Answers a task whose parts have all been sent."""
        task = self._open()
        self._bridge.send({"type": "result", "task": task["id"]})
        self._task = None

    def log(self, message: str | None, level: Level, step: int | None, loss: float | None, learning_rate: float, tokens: int) -> None:
        if level not in _LEVELS:
            raise BridgeError(f"{level!r} is no level of a line; there are {', '.join(_LEVELS)}")
        if message is not None:
            self._bridge.send({"type": "log", "level": level, "message": message[:_MAX_LINE_CHARACTERS]})
        if step is not None and loss is not None:
            self._log_step(count_of(step, "step", 1), loss, learning_rate, tokens)
        if message is None and step is None:
            self._bridge.send({"type": "alive"})

    def warn(self, text: str) -> None:
        """A line of the site's log."""
        self.log(text, "warn", None, None, 0.0, 0)

    def _log_step(self, step: int, loss: float, learning_rate: float, tokens: int) -> None:
        number = number_of(loss)
        if number is None:
            self._figures.say("step", f"the loss of step {step} is {loss}: losses that are not finite are left out of the curve")
            self._bridge.send({"type": "alive"})
            return
        rate, count = number_of(learning_rate) or 0.0, number_of(tokens) or 0.0
        self._bridge.send({"type": "step", "step": step, "loss": number, "learningRate": max(0.0, rate), "tokens": max(0, int(count))})

    def _train_loss(self, loss: float, params: Params) -> float:
        """A loss that is none is left out where the weights are whole; weights that are not would only be refused by the server."""
        number = number_of(loss)
        if number is not None:
            return number
        check_weights(params, self.current_round)
        self._figures.say("train", f"the training loss of round {self.current_round} is {loss}: it is left out, and stands as 0; the weights are finite")
        return 0.0

    def _check_stack(self) -> None:
        """A stack is a part of the model: without it another one was trained, or evaluated."""
        if self.job.get("lora") == "exact" and "stack" in self._extras and "stack" not in self._extras.read():
            raise BridgeError(
                'the job averages adapters exactly (lora "exact"), and the program has not read the stack that came with its model: add '
                'receive().extras["stack"] beside the base (docs/lora.md), or take lora "svd" or "factors"'
            )

    def _offer(self, task: dict[str, Any]) -> None:
        initial = self._initial() if callable(self._initial) else self._initial
        if initial is None:
            raise BridgeError("the server has no model and this program none to offer: init(initial=…), or give the job a model folder")
        texts = dict(self._files() if self._files else {})
        size = sum(len(text.encode()) for text in texts.values())
        if size > _MAX_TEXT_BYTES:
            raise BridgeError(
                f"{' and '.join(texts)} have {size} bytes, and {_MAX_TEXT_BYTES} go with an offered model: give the job the model's folder "
                "(model.path), or make them shorter (id2label)"
            )
        _files.write(task["result"], initial)
        self._bridge.send({"type": "result", "task": task["id"], "files": texts})

    def _open(self) -> dict[str, Any]:
        if self._task is None:
            raise BridgeError("there is no task: ask is_running() first")
        return self._task


def check_weights(params: Params, round_number: int) -> None:
    """Raises for values that are not finite, which the server would only refuse; for a round whose loss is already known not to be."""
    refuse_diverged(round_number, [name for name, tensor in params.items() if not _files.is_finite(tensor)])


def _check_initial(own: Params, received: Params) -> None:
    """Before anything is trained: what a script begins with has the names and shapes of what it is given."""
    ties = {name for name in own if any(own[name] is own[other] for other in received if other in own)}
    extra = sorted(received.keys() - own.keys())
    missing = sorted(own.keys() - received.keys() - ties)
    shapes = sorted(name for name in received if name in own and tuple(received[name].shape) != tuple(own[name].shape))
    refuse_misfit("the initial model", ((extra, "it has no"), (missing, "it received no"), (shapes, "it has another shape of")))


def _check_fingerprints(fingerprints: Mapping[str, str]) -> None:
    if len(fingerprints) > MAX_FINGERPRINTS:
        raise BridgeError(f"{len(fingerprints)} fingerprints are too many; at most {MAX_FINGERPRINTS} are compared")
    for name, value in fingerprints.items():
        if not NAME.fullmatch(name):
            raise BridgeError(
                f"a fingerprint cannot be named {name!r}; a name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a "
                "letter or a digit"
            )
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_FINGERPRINT_CHARACTERS or not value.isprintable():
            raise BridgeError(
                f"the fingerprint {name} is {str(value)[:40]!r}; a value is a text of 1 to {_MAX_FINGERPRINT_CHARACTERS} characters that can be seen"
            )


def _check_names(extras: Mapping[str, Params]) -> None:
    if len(extras) > _MAX_EXTRAS:
        raise BridgeError(f"{len(extras)} extras are too many; at most {_MAX_EXTRAS} go with a model")
    for name in extras:
        if not NAME.fullmatch(name) or name.lower() == "model":
            raise BridgeError(
                f"an extra cannot be named {name!r}; a name has 1 to 64 letters, digits, dots, dashes or underscores, "
                "begins with a letter or a digit, and is not 'model'"
            )
    if len({name.lower() for name in extras}) < len(extras):
        raise BridgeError(f"the names of extras must differ in more than case: {', '.join(extras)}")
