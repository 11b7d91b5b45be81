"""The program of bench/hand-over.mjs: takes a model into tensors of its own and gives them back; prints times and memory."""

import json
import time

import fedstream
import torch


def memory() -> dict[str, int]:
    """Bytes: anonymous memory is this process's alone; mapped files are pages of the system's cache that are shared with it."""
    with open("/proc/self/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile", "VmHWM")}


def say(**what: object) -> None:
    print("bench " + json.dumps(what | {"at": time.time()} | memory()), flush=True)


fedstream.init()
own: dict[str, torch.Tensor] = {}
while fedstream.is_running():
    if own:
        say(what="before")
    model = fedstream.receive("torch")
    say(what="received")
    if own:
        for name, tensor in model.params.items():
            own[name].copy_(tensor)
    else:
        own = {name: tensor.clone() for name, tensor in model.params.items()}
    del model
    say(what="sending")
    fedstream.send(own)
    say(what="sent")
