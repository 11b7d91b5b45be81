"""A bare PyTorch loop in a federation: a small classifier, full weights, over many sites."""

import fedstream
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, 2))
fedstream.init(initial=model.state_dict())
# Each site measures something else: its data depends on its name.
random = torch.Generator().manual_seed(sum(fedstream.site_name().encode()))
x = torch.randn(256, 8, generator=random)
y = (x[:, 0] + x[:, 1] > 0).long()
loader = DataLoader(TensorDataset(x[:192], y[:192]), batch_size=32, shuffle=True, generator=random)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
loss_of = nn.CrossEntropyLoss()
step = 0

while fedstream.is_running():
    received = fedstream.receive("torch")
    model.load_state_dict(received.params)
    model.eval()
    with torch.no_grad():
        logits = model(x[192:])
    right = (logits.argmax(1) == y[192:]).float().mean().item()
    evaluation = fedstream.Evaluation(loss_of(logits, y[192:]).item(), samples=64, exact_match=right)
    if received.kind == "evaluate":
        fedstream.send(evaluation=evaluation)
        continue
    model.train()
    losses = []
    for inputs, targets in loader:
        loss = loss_of(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        losses.append(loss.item())
        fedstream.log(step=step, loss=losses[-1], learning_rate=1e-2)
    mean = sum(losses) / len(losses)
    fedstream.send(model.state_dict(), samples=192, steps=len(losses), train_loss=mean, evaluation=evaluation)
