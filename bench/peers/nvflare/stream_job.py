"""One transfer of a model from NVFlare's server to one client, in its simulator: MODE MODEL.npz FOLDER [lean]."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from nvflare import FedJob
from nvflare.app_common.streamers.container_retriever import ContainerRetriever
from nvflare.app_common.streamers.file_retriever import FileRetriever
from stream_parts import Receiver, Sender

mode, model, folder = sys.argv[1:4]
lean = "lean" in sys.argv[4:]
job = FedJob(name="stream", min_clients=1)
if mode != "regular":
    retriever = (
        ContainerRetriever(entry_timeout=300)
        if mode == "container"
        else FileRetriever(source_dir=os.path.dirname(model), dest_dir=folder)
    )
    job.to_server(retriever, id="retriever")
    job.to_clients(retriever, id="retriever")
job.to_server(Sender(mode=mode, model=model, lean=lean))
job.to_clients(Receiver(mode=mode, lean=lean), tasks=["*"])
job.simulator_run(os.path.join(folder, "workspace"), n_clients=1, threads=1)
