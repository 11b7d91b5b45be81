"""Both sides of one transfer by NVFlare's own retrievers. `lean`: from file to file, where neither side
holds the model as a dictionary."""

import os
from typing import Any

import numpy as np
from marks import mark
from nvflare.apis.controller_spec import Task
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable, make_reply

TASK = "take_model"
CONTAINER = "weights"
LIMIT_S = 800


class Sender(Controller):
    """Asks the one site to take the model, and waits until it has."""

    def __init__(self, mode: str = "regular", model: str = "", lean: bool = False) -> None:
        super().__init__(task_check_period=0.05)
        self.mode, self.model, self.lean = mode, model, lean
        self.retriever: Any = None

    def handle_event(self, event_type: str, fl_ctx: Any) -> None:
        if event_type == EventType.START_RUN and self.mode != "regular":
            self.retriever = fl_ctx.get_engine().get_component("retriever")

    def start_controller(self, fl_ctx: Any) -> None:
        self.weights = None if self.lean else dict(np.load(self.model))
        if self.mode == "container":
            self.retriever.add_container(CONTAINER, self.weights)

    def control_flow(self, abort_signal: Any, fl_ctx: Any) -> None:
        given = {"regular": self.weights, "container": CONTAINER, "file": os.path.basename(self.model)}
        task = Task(name=TASK, data=Shareable({"model": given[self.mode]}), timeout=LIMIT_S)
        mark("asked")
        self.broadcast_and_wait(task=task, fl_ctx=fl_ctx, min_responses=1, abort_signal=abort_signal)
        mark("sent")

    def stop_controller(self, fl_ctx: Any) -> None:
        pass

    def process_result_of_unknown_task(self, *given: Any) -> None:
        pass


class Receiver(Executor):
    """Takes the model, in the form that its mode leaves it in."""

    def __init__(self, mode: str = "regular", lean: bool = False) -> None:
        super().__init__()
        self.mode, self.lean = mode, lean

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: Any, abort_signal: Any) -> Shareable:
        mark("began")
        given = shareable["model"]
        weights = given if self.mode == "regular" else None
        code = ReturnCode.OK
        if self.mode != "regular":
            retriever = fl_ctx.get_engine().get_component("retriever")
            asked = {"from_site": "server", "fl_ctx": fl_ctx, "timeout": LIMIT_S}
            if self.mode == "container":
                code, weights = retriever.retrieve_container(name=given, **asked)
            else:
                code, path = retriever.retrieve_file(file_name=given, **asked)
                weights = None if self.lean else dict(np.load(path))
                size = os.path.getsize(path)
                os.remove(path)
        if weights is not None:
            size = sum(tensor.nbytes for tensor in weights.values())
        mark("received", bytes=size, code=str(code))
        return make_reply(code)
