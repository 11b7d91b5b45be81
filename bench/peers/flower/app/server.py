"""FedAvg over a model of normal weights in matrices of 64 MiB; prints the seconds of each round."""

import time

import numpy as np
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    random = np.random.default_rng(1)
    count = int(config["mib"]) // 64
    arrays = ArrayRecord([random.standard_normal((4096, 4096), dtype=np.float32) for _ in range(count)])
    sites = int(config["sites"])
    while len(list(grid.get_node_ids())) < sites:
        time.sleep(0.1)
    ends: list[float] = []

    def ended(_: int, __: ArrayRecord) -> MetricRecord | None:
        """The strategy evaluates before the first round and after each."""
        ends.append(time.time())
        return None

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=sites, min_available_nodes=sites)
    strategy.start(grid=grid, initial_arrays=arrays, num_rounds=int(config["rounds"]), evaluate_fn=ended)
    print("ROUNDS", *(round(b - a, 2) for a, b in zip(ends, ends[1:])), flush=True)
