"""A gRPC client, or server, that another library makes from proto/fedstream/v1/frames.proto: the client says what came back, the server echoes.

python grpc_peer.py FOLDER_OF_GENERATED_CODE client HOST:PORT SIZES | server
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, sys.argv[1])

import frames_pb2  # noqa: E402
import frames_pb2_grpc  # noqa: E402
import grpc  # noqa: E402

LIMITS = [("grpc.max_receive_message_length", 5 << 20), ("grpc.max_send_message_length", 5 << 20)]


def some_bytes(size: int) -> bytes:
    return bytes(i * 31 & 255 for i in range(min(size, 256))) * (size // 256 + 1)


def client(address: str, sizes: list[int]) -> None:
    sent = [some_bytes(size)[:size] for size in sizes]
    came = []
    all_came = threading.Event()

    def frames():
        for frame in sent:
            yield frames_pb2.Frame(frame=frame)
        all_came.wait()

    with grpc.insecure_channel(address, options=LIMITS) as channel:
        for message in frames_pb2_grpc.FramesStub(channel).Connect(frames()):
            came.append(message.frame)
            if len(came) == len(sent):
                all_came.set()
    if came != sent:
        sys.exit("what came back is not what was sent")
    print("the same", flush=True)


class Echo(frames_pb2_grpc.FramesServicer):
    def Connect(self, request_iterator, context):
        context.send_initial_metadata(())
        for message in request_iterator:
            yield frames_pb2.Frame(frame=message.frame)


def server() -> None:
    serving = grpc.server(ThreadPoolExecutor(2), options=LIMITS)
    frames_pb2_grpc.add_FramesServicer_to_server(Echo(), serving)
    print(serving.add_insecure_port("127.0.0.1:0"), flush=True)
    serving.start()
    serving.wait_for_termination()


if sys.argv[2] == "client":
    client(sys.argv[3], [int(size) for size in sys.argv[4].split(",")])
else:
    server()
