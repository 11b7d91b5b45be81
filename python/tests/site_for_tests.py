"""A site for tests: the other end of the bridge, in a thread, with models in memory."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fedstream import _files

Job = dict[str, Any]


class FakeSite:
    """Serves one program: hands out `tasks`, keeps what comes back. `models` maps a round to the parameters that it is given."""

    def __init__(
        self,
        tasks: list[dict[str, Any]],
        model: Callable[[int], Mapping[str, Any]],
        train: Job | None = None,
        rounds: int = 3,
        run_folder: str | None = None,
        lora: str | None = None,
    ) -> None:
        self.folder = tempfile.mkdtemp(prefix="fedstream-test-")
        self.run_folder = run_folder or self.folder
        """The program's own, which lasts as long as the run."""
        self.messages: list[dict[str, Any]] = []
        self.results: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.extras: dict[str, Mapping[str, Any]] = {}
        """What tasks that name extras are given."""
        self.returned: dict[str, dict[str, Any]] = {}
        """What came back beside the last model."""
        self.before_model: Callable[[], object] = lambda: None
        """Called before a model is handed out."""
        self._arrived = threading.Condition()
        self._tasks = list(tasks)
        self._model = model
        self._job: dict[str, Any] = {"seed": 1, "rounds": rounds, "train": train or {}}
        if lora is not None:
            self._job["lora"] = lora
        path = os.path.join(self.folder, "bridge")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(1)
        self.address = f"unix:{path}"
        self._connection = self._listener
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        self._connection = connection
        with connection, connection.makefile("r", encoding="utf-8") as lines:

            def say(message: dict[str, Any]) -> None:
                connection.sendall(json.dumps(message).encode() + b"\n")

            for line in lines:
                message = json.loads(line)
                self.messages.append(message)
                if message["type"] == "hello":
                    say({"type": "welcome", "protocol": 1, "site": "lab", "folder": self.run_folder, "job": self._job})
                elif message["type"] == "receive":
                    say(self._next())
                elif message["type"] == "result":
                    self._take(message)
                elif (answer := self.answer(message)) is not None:
                    say(answer)

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Of a message that a site of some test answers."""
        return None

    def _next(self) -> dict[str, Any]:
        if not self._tasks:
            return {"type": "stop", "reason": "all rounds are done"}
        task = {"type": "task", "rounds": self._job["rounds"], **self._tasks.pop(0)}
        task["id"] = f"{task['kind']}-{task['round']}"
        if task["kind"] != "offer":
            task["model"] = os.path.join(self.folder, f"{task['id']}.safetensors")
            self.before_model()
            _files.write(task["model"], self._model(task["round"]))
        if "extras" in task:
            task["extras"] = {name: f"{task['model']}.{name}.safetensors" for name in task["extras"]}
            for name, path in task["extras"].items():
                _files.write(path, self.extras[name])
        if task["kind"] != "evaluate":
            task["result"] = os.path.join(self.folder, f"result-{task['id']}.safetensors")
        return task

    def _take(self, message: dict[str, Any]) -> None:
        path = os.path.join(self.folder, f"result-{message['task']}.safetensors")
        if os.path.exists(path):
            self.models[message["task"]] = _files.read_torch(path)
        self.returned = {name: _files.read_torch(f"{path}.{name}.safetensors") for name in message.get("extras", [])}
        with self._arrived:
            self.results[message["task"]] = message
            self._arrived.notify_all()

    def model_from(self, task: str) -> dict[str, Any]:
        """What was sent back, once it has arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: task in self.results, 30), f"no result of {task}"
        return self.models[task]

    def leave(self) -> None:
        """Ends the connection without a word."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def warnings(self) -> list[str]:
        return [message["message"] for message in self.messages if message["type"] == "log" and message["level"] == "warn"]

    def steps(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == "step"]


def train_rounds(*rounds: int) -> list[dict[str, Any]]:
    return [{"kind": "train", "round": number} for number in rounds]
