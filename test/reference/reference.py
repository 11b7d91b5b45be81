"""The rules of aggregation as plain NumPy in float64: written from the papers, not from the product.

Reads a request a line on standard input and answers with a line: the models after each round.
Arrays travel as base64: float32 in requests, float64 in answers.
"""

import base64
import json
import sys

import numpy as np


def _weights(results):
    samples = np.array([result["samples"] for result in results], dtype=np.float64)
    return samples / samples.sum()


def _mean_update(results, previous, name):
    """The weighted mean of what the sites changed of one tensor."""
    return sum(
        weight * (result["model"][name] - previous[name])
        for weight, result in zip(_weights(results), results)
    )


def _each(previous, step):
    return {name: step(name, value) for name, value in previous.items()}


def mean(results, previous, state, options):
    """FedAvg (McMahan et al. 2017)."""
    return _each(previous, lambda name, value: value + _mean_update(results, previous, name))


def momentum(results, previous, state, options):
    """FedAvgM (Hsu et al. 2019)."""

    def step(name, value):
        velocity = state.get(name, 0) * options["momentum"] + _mean_update(results, previous, name)
        state[name] = velocity
        return value + options["rate"] * velocity

    return _each(previous, step)


def _rate(state, options):
    """The rate of the round that is next, of three; the state counts them."""
    state["round"] = done = state.get("round", 0) + 1
    rate, warmup, rounds = options["rate"], options.get("warmupRounds", 0), 3
    if done <= warmup:
        return rate * done / warmup
    progress = (done - warmup - 1) / (rounds - warmup)
    schedule = options.get("schedule", "constant")
    if schedule == "linear":
        return rate * (1 - progress)
    return rate * (1 + np.cos(np.pi * progress)) / 2 if schedule == "cosine" else rate


def sgd(results, previous, state, options):
    """A learning rate at the server (Reddi et al. 2021), with decoupled decay."""
    rate = _rate(state, options)

    def step(name, value):
        return value * (1 - rate * options["weightDecay"]) + rate * _mean_update(results, previous, name)

    return _each(previous, step)


def nesterov(results, previous, state, options):
    """torch.optim.SGD(nesterov=True), with decoupled decay; the gradient is minus the update."""
    rate, beta = _rate(state, options), options["momentum"]

    def step(name, value):
        update = _mean_update(results, previous, name)
        state[name] = velocity = beta * state.get(name, 0) + update
        return value * (1 - rate * options["weightDecay"]) + rate * (update + beta * velocity)

    return _each(previous, step)


def _adaptive(second_moment):
    """Algorithm 2 of Reddi et al. 2021, with decoupled decay."""

    def rule(results, previous, state, options):
        rate, tau, beta1 = _rate(state, options), options["tau"], options["beta1"]

        def step(name, value):
            update = _mean_update(results, previous, name)
            m, v = state.get(name, (0, np.full(value.shape, tau**2)))
            m = beta1 * m + (1 - beta1) * update
            v = second_moment(v, update**2, options)
            state[name] = m, v
            return value * (1 - rate * options["weightDecay"]) + rate * m / (np.sqrt(v) + tau)

        return _each(previous, step)

    return rule


adagrad = _adaptive(lambda v, square, options: v + square)
adam = _adaptive(lambda v, square, options: options["beta2"] * v + (1 - options["beta2"]) * square)
yogi = _adaptive(lambda v, square, options: v - (1 - options["beta2"]) * square * np.sign(v - square))


def _updates(results, previous):
    """What each site changed of all tensors, a row each."""
    return np.stack(
        [np.concatenate([result["model"][name] - previous[name] for name in previous]) for result in results]
    )


def _moved(previous, change):
    """The model after a change of all tensors, which lie one after the other."""
    ends = np.cumsum([value.size for value in previous.values()])
    parts = np.split(change, ends[:-1])
    return {name: value + part for (name, value), part in zip(previous.items(), parts)}


def median(results, previous, state, options):
    """The coordinate-wise median (Yin et al. 2018)."""
    return _moved(previous, np.median(_updates(results, previous), axis=0))


def trimmed_mean(results, previous, state, options):
    """The coordinate-wise trimmed mean (Yin et al. 2018)."""
    trim = options["trim"]
    left_out = int(trim * len(results)) if trim < 1 else trim
    rows = np.sort(_updates(results, previous), axis=0)
    return _moved(previous, rows[left_out : len(results) - left_out].mean(axis=0))


def _nearest(updates, malicious):
    """Indices of the updates by their distance to their neighbours, the nearest first."""
    count = len(updates)
    neighbours = max(1, count - malicious - 2)
    scores = []
    for i in range(count):
        distances = [((updates[i] - updates[j]) ** 2).sum() for j in range(count) if j != i]
        scores.append(sum(sorted(distances)[:neighbours]))
    return sorted(range(count), key=lambda i: (scores[i], i))


def krum(results, previous, state, options):
    """Krum (Blanchard et al. 2017)."""
    updates = _updates(results, previous)
    return _moved(previous, updates[_nearest(updates, options["malicious"])[0]])


def multi_krum(results, previous, state, options):
    """Multi-Krum (Blanchard et al. 2017)."""
    updates = _updates(results, previous)
    keep = options.get("keep", len(results) - options["malicious"])
    return _moved(previous, updates[_nearest(updates, options["malicious"])[:keep]].mean(axis=0))


def bulyan(results, previous, state, options):
    """Bulyan (El Mhamdi et al. 2018): Krum's choices, then the values around their median."""
    malicious, left = options["malicious"], list(_updates(results, previous))
    selected = []
    for _ in range(len(results) - 2 * malicious):
        selected.append(left.pop(_nearest(left, malicious)[0]))
    rows = np.sort(np.stack(selected), axis=0)
    away = np.abs(rows - np.median(rows, axis=0))
    order = np.argsort(away, axis=0, kind="stable")[: len(selected) - 2 * malicious]
    return _moved(previous, np.take_along_axis(rows, order, axis=0).mean(axis=0))


def clipped_mean(results, previous, state, options):
    """Norm bounding (Sun et al. 2019), by the lower median of the norms."""
    updates = _updates(results, previous)
    norms = np.linalg.norm(updates, axis=1)
    bound = options["times"] * np.sort(norms)[(len(norms) - 1) // 2]
    scales = np.minimum(1, bound / np.maximum(norms, 1e-300))
    return _moved(previous, (_weights(results) * scales) @ updates)


def geometric_median(results, previous, state, options):
    """RFA (Pillutla et al. 2022): smoothed Weiszfeld steps from the global model."""
    updates, alphas = _updates(results, previous), _weights(results)
    least = options["smoothing"] * np.sort(np.linalg.norm(updates, axis=1))[(len(results) - 1) // 2]
    point = np.zeros(updates.shape[1])
    for _ in range(options["iterations"]):
        pull = alphas / np.maximum(least, np.linalg.norm(updates - point, axis=1))
        point = (pull / pull.sum()) @ updates
    return _moved(previous, point)


def _products(result, pair):
    """B times A of one site, dense."""
    a = result["model"][pair["a"]].reshape(-1, pair["inputs"])
    return result["model"][pair["b"]].reshape(pair["outputs"], -1) @ a


def _mean_product(results, pair):
    return sum(weight * _products(result, pair) for weight, result in zip(_weights(results), results))


def _cut(matrix, first, end):
    """The terms of the SVD from `first` on."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return (left[:, first:end] * values[first:end]) @ right[first:end]


def lora_svd(results, previous, state, options):
    """FlexLoRA (Bai et al. 2024): the product of each pair, the best of its rank, with what was cut off before."""
    products = {}
    for pair in options["pairs"]:
        whole = _mean_product(results, pair) + state.get(pair["a"], 0)
        products[pair["a"]] = _cut(whole, 0, pair["rank"]).ravel()
        state[pair["a"]] = _cut(whole, pair["rank"], 3 * pair["rank"])
    return products


def lora_exact(results, previous, state, options):
    """FedEx-LoRA (Singhal et al. 2024): what all rounds so far have left over of each pair, beside the means of its factors."""
    sums = {}
    for pair in options["pairs"]:
        mean = {side: sum(w * r["model"][pair[side]] for w, r in zip(_weights(results), results)) for side in "ab"}
        of_means = mean["b"].reshape(pair["outputs"], -1) @ mean["a"].reshape(-1, pair["inputs"])
        state[pair["a"]] = state.get(pair["a"], 0) + _mean_product(results, pair) - of_means
        sums[pair["a"]] = (state[pair["a"]] + of_means).ravel()
    return sums


RULES = {
    "bulyan": bulyan,
    "clippedMean": clipped_mean,
    "geometricMedian": geometric_median,
    "krum": krum,
    "lora_exact": lora_exact,
    "lora_svd": lora_svd,
    "mean": mean,
    "median": median,
    "momentum": momentum,
    "multiKrum": multi_krum,
    "trimmedMean": trimmed_mean,
    "adagrad": adagrad,
    "adam": adam,
    "nesterov": nesterov,
    "sgd": sgd,
    "yogi": yogi,
}


def _read(text):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


def _result(result, previous):
    """A result with its model; some are given as updates of the round's."""
    if "model" in result:
        return {**result, "model": {name: _read(text) for name, text in result["model"].items()}}
    model = {name: previous[name] + _read(text) for name, text in result["update"].items()}
    return {**result, "model": model}


def _answer(request):
    model = {name: _read(text) for name, text in request["previous"].items()}
    rule, state, models = RULES[request["rule"]], {}, []
    for results in request["rounds"]:
        given = [_result(result, model) for result in results]
        model = rule(given, model, state, request["options"])
        models.append({name: base64.b64encode(value.astype("<f8").tobytes()).decode() for name, value in model.items()})
    return models


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)
