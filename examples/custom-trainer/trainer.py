"""A trainer of one's own in plain Python: a linear model by gradient descent, without torch."""

import fedstream
import numpy as np

RATE = 0.1
fedstream.init(initial={"weight": np.zeros(3, np.float32)})
# Each site measures something else: its data depends on its name.
random = np.random.default_rng(list(fedstream.site_name().encode()))
x = random.normal(size=(200, 3)).astype(np.float32)
y = x @ np.float32([1, -2, 3])

while fedstream.is_running():
    model = fedstream.receive()
    weight = model.params["weight"]
    error = x @ weight - y
    loss = float(np.mean(error**2))
    weight -= 2 * RATE * x.T @ error / len(x)
    fedstream.log(loss=loss, step=model.current_round, learning_rate=RATE)
    fedstream.send(model.params, samples=len(x), steps=1, train_loss=loss, evaluation=fedstream.Evaluation(loss, len(x)))
