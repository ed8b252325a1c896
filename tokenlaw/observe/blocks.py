"""What stands between the blocks of a network: tokens, attention weights, gradients.

Tokens are taken before the first block and behind each one, so that a norm behind the last block does not count.  The
gradient is that of <X_L, P>, X_L the tokens behind the last block and P independent Gaussian numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from particles import Array
from tokenlaw.observe.model import Model, first_line, seed_of

DIRECTIONS = 4
"""Draws of P over which the gradient is averaged."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A network of L blocks looked at.

    Attributes
    ----------
    tokens : (L + 1, n, d) before the first block and behind each.
    attention : (L, 3) deviation of the scores, entropy, effective keys, means over heads and tokens; NaN where a block
        hands no weights on.
    gradient : (L + 1,) mean square of d<X_L, P>/dX_k over that at L.
    """

    tokens: Array
    attention: Array
    gradient: Array


@dataclass(eq=False)
class _Tape:
    """What hooks write down while a network runs."""

    torch: Any
    n_blocks: int
    states: list[Any] = field(default_factory=list)
    attention: Array = field(default_factory=lambda: np.empty((0, 3)))

    def __post_init__(self) -> None:
        self.attention = np.full((self.n_blocks, 3), np.nan)

    def enter(self, _: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Before the first block: its tokens become the root of all gradients."""
        inside = arguments[0] if arguments else named["hidden_states"]
        root = inside.detach().clone().requires_grad_(True)
        self.states.append(root)
        return ((root, *arguments[1:]), named) if arguments else (arguments, named | {"hidden_states": root})

    def leave(self, _: Any, __: Any, output: Any) -> None:
        """Behind a block."""
        self.states.append(output[0] if isinstance(output, tuple | list) else output)

    def weights(self, block: int) -> Callable[..., None]:
        """Behind every part of a block: the first that hands on square weights of heads is its attention."""

        def look(_: Any, __: Any, output: Any) -> None:
            if np.isfinite(self.attention[block, 1]) or not isinstance(output, tuple | list):
                return
            n = self.states[0].shape[1]
            for one in output[1:]:
                if isinstance(one, self.torch.Tensor) and one.ndim == 4 and tuple(one.shape[::2]) == (1, n):
                    if one.shape[3] == n:
                        self.attention[block] = attention_of(self.torch, one.detach()[0].double())
                        return

        return look


def attention_of(torch: Any, weights: Any) -> Array:
    """Root of the variance of the scores over the keys seen, entropy, 1/sum of squares: means over (head, token).

    Tokens that see one key have no spread, and are left out of the first.
    """
    seen = weights > 0
    logs = torch.where(seen, weights, 1.0).log()
    count = seen.sum(-1)
    mean = logs.sum(-1) / count
    variance = (torch.where(seen, logs - mean[..., None], 0.0) ** 2).sum(-1) / count
    entropy = -(weights * logs).sum(-1)
    spread = variance[count > 1].mean().sqrt()
    return np.array([float(spread), float(entropy.mean()), float((1 / (weights**2).sum(-1)).mean())])


def look(
    model: Model, network: Any, arguments: Mapping[str, Any], seed: int, directions: int = DIRECTIONS
) -> Seen:
    """Run a network on what it is given, and look between its blocks.

    Raises
    ------
    ValueError : its blocks are not found, or what stands between them is not one vector for each token.
    """
    torch, blocks = model.torch, blocks_of(model, network)
    tape = _Tape(torch, len(blocks))
    with ExitStack() as hooks:
        hooks.callback(blocks[0].register_forward_pre_hook(tape.enter, with_kwargs=True).remove)
        for number, block in enumerate(blocks):
            hooks.callback(block.register_forward_hook(tape.leave).remove)
            for part in block.modules():
                if part is not block:
                    hooks.callback(part.register_forward_hook(tape.weights(number)).remove)
        try:
            with torch.enable_grad():
                network(**arguments)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{model.folder}: {model.kind} cannot be run on this ({first_line(error)})") from None
    states = tape.states
    shapes = {tuple(one.shape) for one in states}
    if len(states) != len(blocks) + 1 or len(shapes) != 1 or states[0].ndim != 3:
        raise ValueError(f"{model.folder}: between the blocks of {model.kind} stand no tokens of one shape (1, n, d)")
    tokens = np.stack([one.detach()[0].double().numpy() for one in states])
    if not np.isfinite(tokens).all():
        block = int(np.argmin(np.isfinite(tokens).all(axis=(1, 2))))
        raise ValueError(f"{model.folder}: the tokens are no finite numbers behind block {block}")
    return Seen(tokens, tape.attention, _gradient(torch, states, seed, directions))


def _gradient(torch: Any, states: list[Any], seed: int, directions: int) -> Array:
    source = torch.Generator().manual_seed(seed_of(seed, 1))
    squares = np.zeros(len(states))
    for _ in range(directions):
        direction = torch.randn(states[-1].shape, generator=source)
        gradients = torch.autograd.grad(states[-1], states, direction, retain_graph=True)
        squares += [float((one.double() ** 2).mean()) for one in gradients]
    found: Array = squares / squares[-1]
    return found


def blocks_of(model: Model, network: Any) -> Any:
    """The blocks of a network: its one list of num_hidden_layers modules that stands in no other such list."""
    count = model.config.num_hidden_layers
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        is_list = isinstance(module, model.torch.nn.ModuleList) and len(module) == count
        if is_list and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = module
    if len(found) != 1:
        which = f"{len(found)} lists of {count} blocks" if found else f"no list of {count} blocks"
        raise ValueError(f"{model.folder}: {model.kind} has {which}; taken are models of one stack of blocks")
    return next(iter(found.values()))
