"""Lightning's `fit()` in a federation: a LightningModule and its Trainer as they are, full weights, over many sites."""

import fedstream
import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch, _):
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        logits = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("val_accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Progress(lightning.Callback):
    """Tells the site of each step: points of the loss curve, and that the program is at work."""

    steps = 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.steps += 1
        fedstream.log(step=self.steps, loss=outputs["loss"].item())


lightning.seed_everything(0)
model = Classifier()
fedstream.init(initial=model.state_dict())
# Each site measures something else: its data depends on its name.
random = torch.Generator().manual_seed(sum(fedstream.site_name().encode()))
x = torch.randn(256, 8, generator=random)
y = (x[:, 0] + x[:, 1] > 0).long()
training = DataLoader(TensorDataset(x[:192], y[:192]), batch_size=32, shuffle=True, generator=random)
validation = DataLoader(TensorDataset(x[192:], y[192:]), batch_size=64)
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
progress = Progress()

while fedstream.is_running():
    received = fedstream.receive("torch")
    model.load_state_dict(received.params)
    # A trainer a round: `fit()` of one that has come to its max_epochs would train nothing.
    trainer = lightning.Trainer(max_epochs=1, num_sanity_val_steps=0, callbacks=[progress], accelerator="auto", devices=1, **quiet)
    figures = trainer.validate(model, validation, verbose=False)[0]
    evaluation = fedstream.Evaluation(figures["val_loss"], samples=64, exact_match=figures["val_accuracy"])
    if received.kind == "evaluate":
        fedstream.send(evaluation=evaluation)
        continue
    trainer.fit(model, training)
    loss = trainer.callback_metrics["train_loss"].item()
    fedstream.send(model.state_dict(), samples=192, steps=trainer.global_step, train_loss=loss, evaluation=evaluation)
