"""A site that gives back what it got."""

import nvflare.client as flare

flare.init()
while flare.is_running():
    got = flare.receive()
    if got is None:
        break
    flare.send(
        flare.FLModel(
            params=got.params, params_type="FULL", metrics={"accuracy": 0.0}, meta={"NUM_STEPS_CURRENT_ROUND": 1}
        )
    )
