"""What the ranks of test_sharded.py run: trainers that shard their model, first without a site, then in a federation; and how much is whole at a time.

FSDP on a CPU: accelerate asks for an accelerator before it takes the plugin of FSDP, and everything after that runs on gloo too.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import types
from typing import Any

import torch
import transformers
from trainers import quiet_trainer

import fedstream
import fedstream.hf as hf
from fedstream import _files
from fedstream.hf._ranks import Ranks
from fedstream.hf._sharded import ShardedWeights
from fedstream.hf._weights import Weights

SIDE = 1024
LAYERS = 12


def make_model(adapter: bool = False) -> Any:
    transformers.set_seed(3)
    # An odd vocabulary: not every tensor can be cut into equal parts.
    config = transformers.GPT2Config(
        vocab_size=41, n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0
    )
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        # DeepSpeed makes its masters of what bfloat16 leaves of the weights.
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    if adapter:
        import peft

        model = peft.get_peft_model(model, peft.LoraConfig(r=3, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM"))
    return model


def make_trainer(model: Any, folder: pathlib.Path, **more: Any) -> Any:
    return quiet_trainer(model, folder, {"max_steps": 9} | more)


def losses_alone(model: Any, folder: pathlib.Path, **more: Any) -> list[float]:
    trainer = make_trainer(model, folder, **more)
    trainer.train()
    forget_accelerate()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def federated(model: Any, folder: pathlib.Path, address: str, **more: Any) -> None:
    os.environ[fedstream.BRIDGE_VARIABLE] = address
    trainer = make_trainer(model, folder, **more)
    hf.patch(trainer, local_epochs=1)
    while hf.is_running():
        trainer.evaluate()
        trainer.train()
    del os.environ[fedstream.BRIDGE_VARIABLE]
    hf._federation = None
    fedstream._client = None
    forget_accelerate()


def forget_accelerate() -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()


def let_fsdp_run_on_cpu() -> None:
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType

    made = AcceleratorState.__init__

    def init(self: Any, *args: Any, **more: Any) -> None:
        made(self, *args, **more)
        if more.get("fsdp_plugin") is not None:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = more["fsdp_plugin"]

    AcceleratorState.__init__ = init


def large(shard: str) -> Any:
    torch.manual_seed(torch.distributed.get_rank())
    model: Any = torch.nn.Sequential(*(torch.nn.Linear(SIDE, SIDE, bias=index % 2 == 0) for index in range(LAYERS)))
    # What the trainer would have: whole at first, then sharded.
    trainer = types.SimpleNamespace(model=model)
    weights = Weights(model)
    shards = ShardedWeights(trainer, weights, Ranks())
    if shard == "fsdp2":
        from torch.distributed.fsdp import fully_shard

        for layer in model:
            fully_shard(layer)
        fully_shard(model)
    else:
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy

        policy = ModuleWrapPolicy({torch.nn.Linear})
        cpu = torch.device("cpu")
        trainer.model = FullyShardedDataParallel(model, auto_wrap_policy=policy, device_id=cpu, use_orig_params=shard == "fsdp1")
    return shards


def peak_of(work: Any) -> int:
    """Bytes by which the process grew at most, in memory that is its own."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS") - _status("RssFile")
    work()
    return _status("VmHWM") - _status("RssFile") - before


def _status(name: str) -> int:
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measure(folder: pathlib.Path) -> dict[str, Any]:
    """A model of LAYERS times 4 MiB is loaded and written back by each kind of sharding."""
    talks = torch.distributed.get_rank() == 0
    given = str(folder / "given.safetensors")
    told: dict[str, Any] = {}
    for shard in ("fsdp2", "fsdp1", "fsdp1-flat"):
        shards = large(shard)
        names = list(shards._names)
        received = None
        if talks:
            random = torch.Generator().manual_seed(7)
            made = {name: torch.randn(shards._shapes[name], generator=random) for name in names}
            _files.write(given, made)
            del made
            received = _files.read_torch(given)
        # The first load warms up the ranks' connection, and compares.
        shards.load(received)
        loading = peak_of(lambda shards=shards, received=received: shards.load(received))
        out = str(folder / f"{shard}.safetensors")

        def send(shards: Any = shards, out: str = out) -> None:
            with shards.sent() as parts:
                if talks:
                    _files.write(out, parts)

        sending = peak_of(send)
        # The measure itself: as a whole, the model is seen.
        told[shard] = {"loading": loading, "sending": sending}
        if shard == "fsdp2":
            parts = shards.parts()
            told[shard]["at once"] = peak_of(lambda parts=parts: [part.whole() for part in parts.values()])
        if talks:
            found = _files.read_torch(out)
            assert received is not None
            told[shard]["same"] = all(torch.equal(found[name], tensor) for name, tensor in received.items())
        del shards, received
    return told


def main(what: str, folder: pathlib.Path, addresses: list[str]) -> None:
    if what == "fsdp":
        let_fsdp_run_on_cpu()
        fsdp = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["GPT2Block"]}}
        told: dict[str, Any] = {"losses": losses_alone(make_model(), folder, **fsdp)}
        federated(make_model(), folder, addresses[0], **fsdp)
        efficient = {"fsdp": True, "fsdp_config": {**fsdp["fsdp_config"], "cpu_ram_efficient_loading": True}}  # type: ignore[dict-item]
        told["adapter"] = losses_alone(make_model(adapter=True), folder, **fsdp)
        federated(make_model(adapter=True), folder, addresses[1], **efficient)
        told["peaks"] = measure(folder)
    else:
        stage = int(what.removeprefix("zero"))
        mixed = {"bf16": {"enabled": True}} if stage == 1 else {}
        batches = {name: "auto" for name in ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "train_batch_size")}
        zero = {"deepspeed": {"zero_optimization": {"stage": stage}, **batches, **mixed}, "bf16": stage == 1}
        told = {"losses": losses_alone(make_model(), folder, **zero)}
        federated(make_model(), folder, addresses[0], **zero)
    (folder / f"rank-{torch.distributed.get_rank()}.json").write_text(json.dumps(told))
    # Threads of a process group that lives on at the end of its process now and then end that with an abort.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:])
