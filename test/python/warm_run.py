"""Runs a script in a process that has torch already: python warm_run.py SOCKET SCRIPT [ARGUMENTS]. Its exit code is the script's."""

import json
import os
import socket
import sys

server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect(sys.argv[1])
request = {"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}
data = json.dumps(request).encode() + b"\n"
sent = socket.send_fds(server, [data], [0, 1, 2])
server.sendall(data[sent:])
code = server.recv(1)
sys.exit(code[0] if code else 1)
