"""Loss curves as an SVG: python plot.py OUT.svg NAME=FILE… with FILE a trainer_state.json of transformers or a metrics.jsonl of a run.

The x axis is the share of the training that is done; each line is the mean over a twentieth of it."""

import json
import sys

WIDTH, HEIGHT, LEFT, BOTTOM, POINTS = 720, 320, 48, 36, 20
COLOURS = ["#4477aa", "#cc6677", "#228833", "#aa3377"]


def losses(path):
    with open(path, encoding="utf-8") as file:
        if path.endswith(".jsonl"):
            return [(line["step"], line["loss"]) for line in map(json.loads, file)]
        return [(entry["step"], entry["loss"]) for entry in json.load(file)["log_history"] if "loss" in entry]


def curve(points):
    last = max(step for step, _ in points)
    parts = [[loss for step, loss in points if part < step / last * POINTS <= part + 1] for part in range(POINTS)]
    return [((part + 0.5) / POINTS, sum(values) / len(values)) for part, values in enumerate(parts) if values]


out, *named = sys.argv[1:]
curves = {name: curve(losses(path)) for name, _, path in (item.partition("=") for item in named)}
top = max(loss for points in curves.values() for _, loss in points) * 1.05
x = lambda share: LEFT + share * (WIDTH - LEFT - 12)  # noqa: E731
y = lambda loss: HEIGHT - BOTTOM - loss / top * (HEIGHT - BOTTOM - 12)  # noqa: E731
marks = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
    "<title>Loss over the training: " + ", ".join(curves) + "</title>", '<rect width="100%" height="100%" fill="#fff"/>']
for loss in range(int(top) + 1):
    marks.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - 12}" stroke="#ddd"/><text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss}</text>')
marks.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">share of the training</text><text x="8" y="20">loss</text>')
for index, (name, points) in enumerate(curves.items()):
    line = " ".join(f"{x(share):.1f},{y(loss):.1f}" for share, loss in points)
    marks.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[index % 4]}" stroke-width="2"/>')
    marks.append(f'<text x="{WIDTH - 20}" y="{24 + 16 * index}" fill="{COLOURS[index % 4]}" text-anchor="end">{name}</text>')
with open(out, "w", encoding="utf-8") as file:
    file.write("\n".join([*marks, "</svg>"]) + "\n")
