"""The travelling tensors of a model that no rank has as a whole: FSDP, DeepSpeed's ZeRO, tensor parallelism."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from fedstream import _files
from fedstream._errors import BridgeError, listed, refuse_diverged
from fedstream.hf._adapters import tensors_of
from fedstream.hf._fit import check_fit, same_bits
from fedstream.hf._parts import Part, is_dtensor, part_of
from fedstream.hf._ranks import Ranks
from fedstream.hf._units import UnitPart, Units, has_units, plain
from fedstream.hf._weights import Weights


class ShardedWeights:
    """Gathers and spreads them one at a time. Every method is called on every rank."""

    def __init__(self, trainer: Any, weights: Weights, ranks: Ranks) -> None:
        self._trainer = trainer
        self._ranks = ranks
        self._what = weights.what
        self._names = weights.own_names()
        own = _tensors_of(trainer.model)
        self._shapes = {name: tuple(own[name].shape) for name in set(self._names.values())}
        self._parameters = {plain(name) for name, _ in trainer.model.named_parameters(remove_duplicate=False)}
        self._order: list[str] = []
        self._loaded_before = False
        self._units: Units | None = None

    def parts(self) -> dict[str, Part]:
        """By the names that travel; tied names have the same part."""
        model = self._trainer.model
        _reshard(model)
        found: dict[str, Part] = {}
        self._units = Units(model, self._ranks) if has_units(model) else None
        own = _tensors_of(model)
        for name in sorted(set(self._names.values())):
            if self._units is not None and name in self._parameters:
                found[name] = UnitPart(self._units, name, self._shapes[name])
            else:
                found[name] = part_of(own[name], self._ranks)
        return {travelling: found[name] for travelling, name in self._names.items()}

    @torch.no_grad()
    def load(self, received: Mapping[str, torch.Tensor] | None) -> None:
        """Spreads what rank 0 received; the first time it is gathered again and compared."""
        parts = self.parts()
        if received is not None:
            check_fit(parts, received, self._what)
            _check_ties(parts, received)
        self._order = self._ranks.tell(None if received is None else _without_aliases(received))
        with self._one_unit_at_a_time():
            for name in self._order:
                parts[name].fill(None if received is None else received[name])
        if not self._loaded_before:
            self._check_loaded(parts, received)
        self._loaded_before = True

    @contextlib.contextmanager
    def sent(self) -> Iterator[dict[str, Part]]:
        """What rank 0 writes inside of the context, in the order of what was received, while the others take part."""
        parts = self.parts()
        with self._one_unit_at_a_time(), torch.no_grad():
            yield parts
            if not self._ranks.talks:
                self._follow(parts, self._order)

    def offered(self) -> dict[str, Part]:
        """For rank 0, which writes them in the order of the mapping; the others call `follow_offer`."""
        return self.parts()

    @torch.no_grad()
    def follow_offer(self) -> None:
        """Takes part in what rank 0 writes."""
        parts = self.parts()
        written, _ = _files.without_ties(parts)
        self._follow(parts, written)

    @torch.no_grad()
    def check_finite(self, round_number: int) -> None:
        """Raises on rank 0 for values that are not."""
        broken = self._names_where(self.parts(), lambda _, whole: whole is not None and not _files.is_finite(whole))
        refuse_diverged(round_number, broken)

    def _follow(self, parts: Mapping[str, Part], names: Iterable[str]) -> None:
        for name in names:
            parts[name].whole()

    def _check_loaded(self, parts: Mapping[str, Part], received: Mapping[str, torch.Tensor] | None) -> None:
        def differs(name: str, whole: torch.Tensor | None) -> bool:
            return received is not None and (whole is None or not same_bits(whole, received[name]))

        wrong = self._names_where(parts, differs)
        if wrong:
            raise BridgeError(
                f"{self._what} was received, and is not what the sharded model has after loading it: {listed(sorted(wrong))}; train it with DDP"
            )

    def _names_where(self, parts: Mapping[str, Part], is_wrong: Callable[[str, torch.Tensor | None], bool]) -> list[str]:
        """Of the tensors that a result has, those that are wrong on rank 0; the others take part, and find none."""
        found = []
        with self._one_unit_at_a_time():
            for name in self._order:
                whole = parts[name].whole()
                if self._ranks.talks and is_wrong(name, whole):
                    found.append(name)
                del whole
        return found

    @contextlib.contextmanager
    def _one_unit_at_a_time(self) -> Iterator[None]:
        with self._units.closed_at_end() if self._units is not None else contextlib.nullcontext():
            yield


def is_sharded(trainer: Any) -> bool:
    """Whether the trainer's model is, or will be when it trains, in parts on the ranks."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return True
    return any(is_dtensor(tensor) for tensor in trainer.model.parameters())


def refuse_sharding(trainer: Any) -> None:
    """Raises for what is sharded in a way that cannot be gathered tensor by tensor."""
    if getattr(trainer, "is_fsdp_xla_enabled", False):
        raise BridgeError("FSDP of XLA cannot be handed over; use the FSDP of PyTorch (fsdp_config without xla)")
    if trainer.is_fsdp_enabled and has_units(trainer.model):
        raise BridgeError("the model is wrapped by FSDP1 before the trainer has it; give the trainer the plain model, and its own option fsdp")
    if not trainer.is_deepspeed_enabled:
        return
    plugin = trainer.accelerator.state.deepspeed_plugin
    config = plugin.deepspeed_config
    if config.get("tensor_parallel", {}).get("autotp_size", 1) > 1:
        raise BridgeError("DeepSpeed's tensor parallelism (autotp_size) cannot be handed over; use ZeRO stage 2 or 3 without it")
    if plugin.zero_stage == 0:
        raise BridgeError("DeepSpeed without ZeRO keeps its float32 masters to itself; set zero_optimization.stage to 1, 2 or 3")


def _without_aliases(received: Mapping[str, torch.Tensor]) -> list[str]:
    """The names that a result has, in its order: an alias is the same tensor as its name, and comes after it."""
    first: dict[int, str] = {}
    return [name for name, tensor in received.items() if first.setdefault(id(tensor), name) == name]


def _check_ties(parts: Mapping[str, Part], received: Mapping[str, torch.Tensor]) -> None:
    """Raises where one tensor of the federation is two here: what is trained of one of them would be lost."""
    first: dict[int, str] = {}
    for name, tensor in received.items():
        other = first.setdefault(id(tensor), name)
        if parts[other] is not parts[name]:
            raise BridgeError(
                f"{name} and {other} are one tensor in the federation's model and two in this script's: tie them in the script "
                "(tie_word_embeddings), or begin with a model in which each has a tensor of its own"
            )


def _tensors_of(model: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers by the names that they had before anything was wrapped."""
    return {plain(name): tensor for name, tensor in tensors_of(model).items()}


def _reshard(model: Any) -> None:
    """A forward without a backward leaves units of FSDP2 unsharded: what is put into those is lost, and what is read may be old."""
    for module in model.modules():
        # Only FSDP2's modules have it.
        if hasattr(module, "set_reshard_after_forward"):
            module.reshard()
