"""Options of `tokenlaw predict`: ranges, words, which go together.  What an object refuses is told by its option.

There are two kinds of networks.  A *deployed* one has matrices of a stated initialisation (--init-std, --init, a
preset) and tokens of length d^1/2.  One *on the sphere* is x + (eta/H) sum V m(x) with --sigma-v, --sigma-a, --beta.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tokenlaw.answers.forecast.presets import PRESETS, Preset

LARGEST: Final = 1e6  # of a scale: beyond it numbers leave their range, and no network is there
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "d_model": (3, 65536), "heads": (1, 65536), "head_dim": (1, 65536), "kv_heads": (1, 65536),
    "context": (2, 10**9), "layers": (1, 10_000), "networks": (2, 100_000), "residual_scale": (0, LARGEST),
    "layer_scale": (0, LARGEST), "score_scale": (0, LARGEST), "sigma_v": (0, LARGEST), "sigma_a": (0, LARGEST),
    "beta": (0, LARGEST), "mlp_gain": (1e-6, 30), "mlp_scale": (0, LARGEST), "init_std": (0, LARGEST),
    "norm_eps": (0, LARGEST), "embedding_std": (1e-6, LARGEST), "overlap0": (0, 1), "repeat": (0, 0.999999),
}  # fmt: skip
WHOLE: Final = frozenset({"d_model", "heads", "head_dim", "kv_heads", "context", "layers", "networks", "mlp_width"})
"""Options that take whole numbers."""
WORDS: Final = {
    "norm": ("pre", "post", "peri", "none"), "norm_kind": ("rms", "layer"), "positions": ("none", "rope", "alibi"),
    "init": ("xavier", "lecun"), "method": ("chain", "mean"),
}  # fmt: skip
ON_THE_SPHERE: Final = ("sigma_v", "sigma_a", "beta", "mlp_gain", "mlp_scale")
"""Options of networks without a stated initialisation."""
OF_MLP: Final = ("mlp_gain", "mlp_scale", "mlp_width", "parallel_blocks")
OF_FILE: Final = ("overlap0", "repeat", "embedding_std", "d_model", "context")
"""Options that --tokens stands for."""
NEEDED: Final = ("d_model", "heads", "layers", "context")
ARGUMENTS: Final = {
    "d": "d_model", "n": "context", "overlap": "overlap0", "width": "mlp_width", "parallel": "parallel_blocks",
    "std": "init_std", "share": "positions", "n_networks": "networks", "eps": "norm_eps",
}  # fmt: skip
"""Names of arguments -> the options that they are, where these differ."""


def spelled(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


@contextmanager
def told(**other: str) -> Iterator[None]:
    """What an object refuses, by the option that its argument is; `other` says which where it is not the usual one."""
    from particles import ArgumentError

    try:
        yield
    except ArgumentError as error:
        name = spelled(other.get(error.name, ARGUMENTS.get(error.name, error.name)))
        raise ValueError(f"{name}: must {error.allowed}, got {error.value}") from None


def settings_of(preset: str | None, given: Mapping[str, Any]) -> tuple[Preset | None, dict[str, Any]]:
    """The preset and all options that are set; ValueError of one line for what is no option or does not go together."""
    changes = {name: value for name, value in given.items() if value is not None}
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"--preset: must be one of {', '.join(PRESETS)}, got {preset}")
    published = None if preset is None else PRESETS[preset]
    _check_values(changes)
    _check_pairs(preset, changes)
    settings = changes if published is None else published.settings(changes)
    missing = [spelled(name) for name in NEEDED if name not in settings]
    if missing and not ("tokens" in settings and set(missing) <= {"--d-model", "--context"}):
        raise ValueError(f"predict needs {', '.join(missing)}, or --preset with one of {', '.join(PRESETS)}")
    return published, settings


def deployed(settings: Mapping[str, Any]) -> bool:
    """Whether the matrices have a stated initialisation."""
    return "init" in settings or "init_std" in settings


def _check_values(settings: Mapping[str, Any]) -> None:
    for name, (least, most) in LIMITS.items():
        value = settings.get(name)
        if value is not None and not least <= value <= most:  # written so that NaN is caught
            shown = value if isinstance(value, float) or abs(value) < 10**12 else float(min(value, 10**300))
            raise ValueError(f"{spelled(name)}: must be from {least:g} to {most:g}, got {shown:g}")
    for name, words in WORDS.items():
        value = settings.get(name)
        if value is not None and value not in words:
            raise ValueError(f"{spelled(name)}: must be {' or '.join((', '.join(words[:-1]), words[-1]))}, got {value}")
    if settings.get("mlp") is not None:
        activation_of(settings["mlp"])


def _check_pairs(preset: str | None, changes: Mapping[str, Any]) -> None:
    """Refuse options of which one says what the other does."""
    stated = "--preset" if preset else next((spelled(one) for one in ("init_std", "init") if one in changes), None)
    for name in ON_THE_SPHERE:
        if name in changes and stated:
            others = "--init-std, --score-scale, --residual-scale"
            raise ValueError(f"{spelled(name)}: not with {stated}, which states all matrices; see {others}")
    for one, other in (("init", "init_std"), ("pre_norm", "norm"), *(("tokens", name) for name in OF_FILE)):
        if one in changes and other in changes:
            typed = "--post-norm" if one == "pre_norm" and not changes[one] else spelled(one)
            raise ValueError(f"{spelled(other)}: not with {typed}")
    if changes.get("gradients") and changes.get("method") == "mean":
        raise ValueError("--gradients: not with --method mean, which has none")
    if changes.get("gradients") and changes.get("mlp_width") == math.inf:
        raise ValueError("--gradients: not with --mlp-width inf, give a number")
    if changes.get("networks") and changes.get("method") == "mean":
        raise ValueError("--networks: not with --method mean, which has its own number")
    without = changes.get("mlp") == "none" or ("mlp" not in changes and preset is None)
    for name in OF_MLP:
        if without and name in changes and changes[name] is not False:
            raise ValueError(f"{spelled(name)}: needs --mlp, one of {', '.join(mlp_names()[1:])}")


def mlp_names() -> tuple[str, ...]:
    """What --mlp takes."""
    from particles import ACTIVATIONS

    return ("none", *ACTIVATIONS, *GATED)


GATED: Final = {"swiglu": "silu", "geglu": "gelu"}


def activation_of(name: str) -> tuple[Any, bool]:
    """Activation of a block and whether it is gated; None for none."""
    from particles import ACTIVATIONS

    if name not in mlp_names():
        raise ValueError(f"--mlp: must be none or one of {', '.join(mlp_names()[1:])}, got {name}")
    return ACTIVATIONS.get(GATED.get(name, name)), name in GATED
