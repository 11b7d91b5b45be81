"""Rounds of NVFlare's FedAvg over three sites that give back what they got, in its simulator: FOLDER ROUNDS SITES."""

import sys

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import ExchangeFormat
from nvflare.recipe import SimEnv
from round_model import Layers

folder, rounds, sites = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
recipe = FedAvgRecipe(
    name="round",
    model=Layers(),
    min_clients=sites,
    num_rounds=rounds,
    train_script="round_client.py",
    server_expected_format=ExchangeFormat.PYTORCH,
)
recipe.execute(SimEnv(num_clients=sites, num_threads=sites, workspace_root=folder))
