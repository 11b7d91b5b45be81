"""Starts scripts in processes that have torch already: python warm.py SOCKET

Each connection brings one script (arguments, folder, environment, and the three standard files) and is told its exit code. A script runs as
__main__ in a process of its own, forked from this one, which has imported what takes seconds and done nothing else."""

import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback

import peft  # noqa: F401
import torch  # noqa: F401
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer  # noqa: F401
from transformers import GPT2LMHeadModel, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed  # noqa: F401


def run(request: dict, files: list[int]) -> None:
    """Does not come back."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = request["arguments"]
        sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(connection: socket.socket) -> None:
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    script = os.fork()
    if script == 0:
        connection.close()
        os.setpgid(0, 0)
        run(json.loads(message), files)
    for file in files:
        os.close(file)
    ended = os.pidfd_open(script)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        # Who asked is gone.
        os.killpg(script, signal.SIGTERM)
    _, status = os.waitpid(script, 0)
    try:
        connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    except OSError:
        pass
    os._exit(0)


listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen(16)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(f"ready with transformers {transformers.__version__}", flush=True)
while True:
    connected, _ = listener.accept()
    if os.fork() == 0:
        listener.close()
        serve(connected)
    connected.close()
