"""Checks of a configuration that involve several keys, and the list of what this version lacks."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pydantic_core import PydanticCustomError

from tokenlaw.config_io import show

if TYPE_CHECKING:
    from tokenlaw.config_models import Configuration, FixedHeads, HomogenizedLayers, RandomHeads

NOT_YET: Final[Mapping[str, frozenset[object]]] = {}
"""Planned values that this version refuses, key path to values. Whoever adds one deletes it here."""

LAYERS_OF: Final[Mapping[str, frozenset[str]]] = {
    "fixed": frozenset({"transformer", "ballistic", "modified"}),
    "smooth": frozenset({"transformer", "ballistic"}),
}
"""Kinds of layers that heads of some kinds are restricted to."""
ENTRIES: Final = ("gaussian", "rademacher", "uniform", "low_rank", "fixed", "smooth")
USUAL_HEADS: Final = "gaussian"
"""Kind of the heads where it is left out."""
DENSITIES: Final = (2, 3)
"""Dimensions in which there are densities, quadratures and spectral fields."""

MAX_STEPS: Final = 10**9
MAX_RECORDS: Final = 10**6
"""Largest number of saved states of one run."""


def is_not_yet(path: str, value: object) -> bool:
    """Whether a value is planned but absent; 1 is not true here."""
    return any(type(value) is type(entry) and value == entry for entry in NOT_YET.get(path, frozenset()))


def refuse_not_yet(data: object) -> None:
    """Refuse planned values before anything else is said about a configuration."""
    for path in NOT_YET:
        section, key = path.split(".")
        table = data.get(section) if isinstance(data, Mapping) else None
        if isinstance(table, Mapping) and key in table and is_not_yet(path, table[key]):
            raise PydanticCustomError("not_yet", "not yet", {"path": path, "value": show(table[key])})


def fill_derived(data: object) -> object:
    """Copy of raw data with the defaults that depend on other sections filled in: [heads], and the retraction."""
    if not isinstance(data, Mapping):
        return data
    model, heads, layers = data.get("model"), data.get("heads"), data.get("layers")
    if isinstance(model, Mapping) and model.get("space") == "euclidean" and isinstance(layers, Mapping):
        if layers.get("kind") != "modified":  # refused there, for another reason
            data = {**data, "layers": {"retraction": "translate", **layers}}
    if heads is None and not (isinstance(layers, Mapping) and layers.get("kind") == "recorded"):
        heads = {}
    if not isinstance(heads, Mapping) or heads.get("kind") == "fixed":
        return data
    d = model.get("d") if isinstance(model, Mapping) else None
    if type(d) is not int or not 2 <= d <= 10**9:  # reported as model.d; any value does meanwhile
        d = 2
    deviation = 1 / math.sqrt(d)  # to the bit that of particles.heads, which is too heavy to import here (test_config)
    usual = {"kind": USUAL_HEADS, "sigma_v": deviation, "sigma_a": deviation, "head_dim": d}
    return {**data, "heads": {**usual, **heads}}


def refuse(path: str, text: str) -> NoReturn:
    """Report a value that contradicts another one; `text` is all that follows the key path."""
    raise PydanticCustomError("configuration", "refused", {"path": path, "text": text})


def check_heads(c: "Configuration") -> None:
    """Heads are there exactly when layers are drawn, and their matrices fit model.d."""
    if c.layers.kind == "recorded":
        if c.heads is not None:
            refuse(
                "heads",
                ': not used with layers.kind = "recorded", whose file holds the heads; remove the section',
            )
        return
    assert c.heads is not None  # filled in
    layers = LAYERS_OF.get(c.heads.kind)
    if layers is not None and c.layers.kind not in layers:
        kinds = ", ".join(kind for kind in ENTRIES if kind not in LAYERS_OF or c.layers.kind in LAYERS_OF[kind])
        refuse("heads.kind", f' = "{c.heads.kind}": must be one of {kinds} with layers.kind = "{c.layers.kind}"')
    if c.heads.kind == "fixed":
        _check_fixed(c.heads, c.model.d, c.layers.heads if c.layers.kind == "transformer" else None)
    else:
        _check_random(c.heads, c.model.d)
        _check_drift(c, c.heads)


def _check_drift(c: "Configuration", heads: "RandomHeads") -> None:
    """The deterministic limits move by the mean of V alone."""
    if c.layers.kind in ("ballistic", "modified") and heads.mean_v is None and getattr(c.layers, "mlp", None) is None:
        refuse(
            "heads.mean_v",
            f': missing with layers.kind = "{c.layers.kind}", where only the mean of V moves tokens: without one '
            'nothing moves; give it, or take layers.kind = "homogenized"',
        )


def _check_random(heads: "RandomHeads", d: int) -> None:
    if heads.head_dim > d:
        refuse("heads.head_dim", f" = {heads.head_dim}: must be between 1 and model.d = {d}")
    _check_shape("heads.mean_v", heads.mean_v, d, d)
    _check_shape("heads.mean_a", heads.mean_a, d, d)


def _check_fixed(heads: "FixedHeads", d: int, n_layer: int | None) -> None:
    """Shapes; as many heads as a layer has, or, with n_layer None, as many of each matrix as of the first."""
    matrices = {"value": heads.value, "query": heads.query, "key": heads.key}
    given = [name for name, matrix in matrices.items() if matrix is not None]
    if heads.file is not None:
        if given:
            refuse(f"heads.{given[0]}", ": given beside heads.file; either the file or the three matrices")
        return
    for name in matrices:
        if name not in given:
            refuse(f"heads.{name}", ": missing; fixed heads need value, query and key, or a file")
    rows = len(heads.query[0]) if heads.query else 0
    if rows > d:
        refuse("heads.query", f": a matrix of {rows} rows, must have between 1 and model.d = {d}")
    n_heads = len(heads.value or ()) if n_layer is None else n_layer
    if n_heads < 1:
        refuse("heads.value", ": 0 given, must be at least 1")
    for name, height in (("value", d), ("query", rows), ("key", rows)):
        stack = matrices[name] or ()
        for index, matrix in enumerate(stack):
            _check_shape(f"heads.{name}[{index}]" if len(stack) > 1 else f"heads.{name}", matrix, height, d)
        if len(stack) != n_heads:
            wanted = "as many as heads.value" if n_layer is None else "layers.heads"
            refuse(f"heads.{name}", f": {len(stack)} given, must be {wanted} = {n_heads}")


def _check_shape(path: str, matrix: tuple[tuple[float, ...], ...] | None, rows: int, columns: int) -> None:
    if matrix is not None and (len(matrix), len(matrix[0])) != (rows, columns):
        refuse(path, f": a {len(matrix)} x {len(matrix[0])} matrix, must be {rows} x {columns}")


def _check_length(path: str, vector: tuple[float, ...], d: int) -> None:
    if len(vector) != d:
        refuse(path, f" = {show(vector)}: must have model.d = {d} entries, not {len(vector)}")


def check_layers(c: "Configuration") -> None:
    """Steps fit the horizon, records fit a file, and the noise of the homogenized layers exists."""
    layers = c.layers
    if layers.kind == "recorded":
        return
    if layers.kind == "transformer":
        dt, n_steps = layers.eta, float(layers.depth)
    else:
        dt, n_steps = layers.dt, layers.refine * (layers.t_end / layers.dt)
        if 0 < layers.t_end < layers.dt:
            refuse("layers.t_end", f" = {layers.t_end}: must be 0 or at least layers.dt = {layers.dt}")
        if not n_steps <= MAX_STEPS:
            refuse(
                "layers.dt", f" = {dt}: must be so large that layers.t_end takes at most {MAX_STEPS} steps"
            )
        _check_refine(c)
        n_steps /= layers.refine  # records stand at steps of dt
    if not n_steps / max(1.0, c.output.save_every / dt) <= MAX_RECORDS:
        refuse(
            "output.save_every",
            f" = {c.output.save_every}: must let at most {MAX_RECORDS} states be saved",
        )
    if layers.kind == "homogenized":
        _check_noise(c, layers)


def _check_refine(c: "Configuration") -> None:
    """Gaussian increments can be split, those of an MLP block of finite width, or drawn at points, cannot."""
    refine, mlp = getattr(c.layers, "refine", 1), getattr(c.layers, "mlp", None)
    if refine == 1 or mlp is None:
        return
    known = "a limit field, width = 0, with model.d = 2 or 3"
    if mlp.width:
        refuse("layers.refine", f" = {refine}: must be 1 with layers.mlp.width = {mlp.width}; {known} can be refined")
    if c.model.d not in DENSITIES:
        refuse("layers.refine", f" = {refine}: must be 1 with layers.mlp and d = {c.model.d}; {known} can be refined")


def _check_noise(c: "Configuration", layers: "HomogenizedLayers") -> None:
    """Fresh nodes represent the noise of a mean only if M >= 2 and dt <= M eps, mathematics (6)."""
    if layers.nodes_fixed or c.heads is None or c.heads.kind == "fixed" or c.heads.mean_v is None:
        return
    reason = "with values of non-zero mean and fresh nodes"
    if layers.nodes < 2:
        refuse("layers.nodes", f" = {layers.nodes}: must be at least 2 {reason}")
    bound = layers.nodes * layers.noise_scale
    if layers.dt > bound:
        refuse(
            "layers.dt",
            f" = {layers.dt}: must be at most layers.nodes * layers.noise_scale = {bound} {reason}",
        )


def check_initial(c: "Configuration") -> None:
    """Vectors have model.d entries, a simplex fits the dimension."""
    initial, d, n = c.initial, c.model.d, c.simulate.tokens
    if initial.kind == "von_mises_fisher":
        for index, component in enumerate(initial.components):
            _check_length(f"initial.components[{index}].mean", component.mean, d)
    elif initial.kind == "conformal":
        _check_length("initial.a", initial.a, d)
    elif initial.kind == "gaussian":
        _check_length("initial.mean", initial.mean, d)
        _check_shape("initial.covariance", initial.covariance, d, d)
    elif initial.kind == "density" and d not in DENSITIES:
        refuse("model.d", f' = {d}: must be 2 or 3 with initial.kind = "density"')
    elif initial.kind == "simplex":
        if n > d:
            refuse("simulate.tokens", f' = {n}: must be at most model.d = {d} with initial.kind = "simplex"')
        if n > 1 and initial.overlap < -1 / (n - 1):
            refuse(
                "initial.overlap",
                f" = {initial.overlap}: must be at least {-1 / (n - 1)} for simulate.tokens = {n}",
            )


def check_space(c: "Configuration") -> None:
    """On the sphere tokens are brought back to it, in R^d they are not; a causal mask leaves nothing to Sinkhorn."""
    model, retraction = c.model, c.layers.retraction
    if model.space == "euclidean":
        _check_euclidean(c, f'with model.space = "{model.space}"')
    elif retraction == "translate":
        refuse("layers.retraction", f' = "{retraction}": must be another one with model.space = "sphere"')
    elif c.initial.kind == "gaussian":
        refuse("initial.kind", f' = "{c.initial.kind}": must be another one with model.space = "sphere"')
    if model.causal and model.attention == "sinkhorn":
        refuse("model.causal", ' = true: must be false with model.attention = "sinkhorn"')


def _check_euclidean(c: "Configuration", reason: str) -> None:
    if c.layers.kind == "modified":
        refuse("layers.kind", f' = "modified": must be another kind {reason}; the corrector is that of the sphere')
    norm, nu = getattr(c.layers, "norm", "post"), getattr(c.layers, "private_noise", 0.0)
    if norm != "post":
        refuse("layers.norm", f' = "{norm}": must be "post" {reason}; residual streams have model.space = "sphere"')
    if nu:
        refuse("layers.private_noise", f" = {nu}: must be 0 {reason}; it is a noise on the sphere")
    if c.layers.retraction != "translate":
        refuse("layers.retraction", f' = "{c.layers.retraction}": must be translate {reason}')
    mlp = getattr(c.layers, "mlp", None)
    if mlp is not None and not mlp.width:
        refuse("layers.mlp.width", f" = 0: must be at least 1 {reason}; the limit field is that of the sphere")


def check_simulate(c: "Configuration") -> None:
    """Methods of the circle and the sphere S^2 are asked for there only."""
    needs_sphere: dict[str, tuple[Any, str]] = {
        "simulate.field": (c.simulate.field, "spectral"),
        "simulate.sampling": (c.simulate.sampling, "quadrature"),
    }
    for path, (value, special) in needs_sphere.items():
        if value == special and c.model.space != "sphere":
            refuse(path, f' = "{value}": must be another method with model.space = "{c.model.space}"')
        if value == special and c.model.d not in DENSITIES:
            refuse(
                path, f' = "{value}": must be another method unless model.d is 2 or 3, and model.d is {c.model.d}'
            )
    _check_precision(c)


def _check_precision(c: "Configuration") -> None:
    """Torch and single precision are for softmax heads summed over all pairs."""
    given = f'"{c.model.attention}"' + (" with model.causal" if c.model.causal else "")
    plain = given == '"softmax"'
    if c.simulate.field == "torch" and not plain:
        refuse("simulate.field", f' = "torch": needs model.attention = "softmax", not {given}')
    if c.simulate.precision == "single" and not plain:
        refuse("simulate.precision", f' = "single": needs model.attention = "softmax", not {given}')
    if c.simulate.precision == "single" and c.simulate.field == "spectral":
        refuse("simulate.precision", ' = "single": must be "double" with simulate.field = "spectral"')


def check_stream(c: "Configuration") -> None:
    """Keys of the sphere and keys of a residual stream exclude each other."""
    layers, radius, norm = c.layers, getattr(c.initial, "radius", 1.0), getattr(c.layers, "norm", "post")
    if norm == "post":
        if radius != 1:
            refuse("initial.radius", f' = {radius}: must be 1 unless layers.norm is "pre" or "rms"')
    elif getattr(layers, "private_noise", 0.0):
        refuse("layers.norm", f' = "{norm}": must be "post" with layers.private_noise, a noise on the sphere')
    elif layers.retraction != "normalize":
        refuse("layers.retraction", f' = "{layers.retraction}": not used with layers.norm = "{norm}"; leave it out')
    elif layers.kind == "ballistic" and layers.scheme != "euler":
        refuse("layers.scheme", f' = "{layers.scheme}": must be "euler" with layers.norm = "{norm}"')


CHECKS: Final[tuple[Callable[["Configuration"], None], ...]] = (
    check_heads,
    check_layers,
    check_initial,
    check_space,
    check_simulate,
    check_stream,
)
