"""The file of a real network that was looked at: a token file whose depth counts blocks (docs/file_format.md).

Beside the given weights stand fresh networks of the same configuration (reinit_...) and, where a `Network` can stand
for it, what the exact chain of Gram matrices says of them (forecast_...), all from embeddings of the same words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from particles import Array, Cloud, token_variables
from particles.files import AXIS, DEPTH_TIME_ATTRS, save, versions, whole, writing
from particles.machine import NUMBER, refuse_beyond
from particles.networks import embeddings_of, network_of
from tokenlaw.config.toml import write_document
from tokenlaw.curves import CURVES, OTHERS
from tokenlaw.observe import door
from tokenlaw.observe.blocks import Seen, look
from tokenlaw.observe.model import Model, open_model, seed_of
from tokenlaw.observe.numbers import QUANTILES, directions_of, of_tokens
from tokenlaw.observe.words import Given, from_ids, from_pixels, from_text

MOST_MOMENTS = 1 << 27  # bytes of second moments in a file; of more only the tokens are kept


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    folder : of the model.   text, ids, pixels : files, one of them given.   context : how many of the first tokens.
    reinit : number of fresh networks.   networks : of the forecast.   seed : of all random numbers.
    """

    folder: Path
    text: Path | None = None
    ids: Path | None = None
    pixels: Path | None = None
    context: int | None = None
    reinit: int = 0
    networks: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(file is not None for file in (self.text, self.ids, self.pixels)) != 1:
            raise ValueError("observe: give one of --text F.txt, --ids F.txt and --pixels F.npy")
        if self.pixels is not None and self.context is not None:
            raise ValueError("observe: --context cuts words, not --pixels")

    @property
    def file(self) -> Path:
        """The file that is given to the network."""
        found = self.text or self.ids or self.pixels
        assert found is not None
        return found

    def read(self, model: Model) -> Given:
        """What the network is given."""
        if self.pixels is not None:
            return from_pixels(model, self.pixels)
        reader = from_text if self.text is not None else from_ids
        return reader(model, self.file, self.context)


def observe(request: Request, tell: Callable[[str], None], progress: Callable[[int], None]) -> xr.Dataset:
    """Look at a model's network and at fresh ones; the dataset of the file.

    tell : receives notes.   progress : receives the number of networks done.
    """
    with door.networks() as (torch, library):
        model = open_model(request.folder, torch, library)
        given = request.read(model)
        revision = model.revision(tokenizer=request.text is not None)
        seen = look(model, model.given(), given.arguments, request.seed)
        progress(1)
        fresh = []
        for k in range(request.reinit):
            seed = seed_of(request.seed, 0, k)
            fresh.append(curves(look(model, model.fresh(seed), given.arguments, seed)))
            progress(2 + k)
        attributes = _attributes(request, model, revision) | door.versions()
    dataset = token_file(seen, given, tell).assign_attrs(attributes)
    others = [beside("reinit", fresh)] if fresh else []
    try:
        others += [beside("forecast", forecast(model, given, request))] if request.networks else []
    except ValueError as error:
        tell(f"no forecast of {model.kind}: {error}")
    return dataset.merge(xr.merge(others)) if others else dataset


def forecast(model: Model, given: Given, request: Request) -> list[dict[str, Array]]:
    """The exact chain of random networks of the same configuration, from its embeddings of the same words."""
    network = network_of(model.config, None if given.ids is None else len(given.ids))
    start = embeddings_of(model.config, given.words_or_pixels)
    found = network.chain(start, request.networks, request.seed, gradients=True)
    found = found.rename(entropy="attention_entropy")
    found["radius"] = found["radius"] * np.sqrt(network.d)  # the length, not the root mean square of the entries
    return [{name: found[name].values[k] for name in CURVES} for k in range(request.networks)]


def write(dataset: xr.Dataset, out: Path) -> None:
    """Write the file, whole or not at all."""
    encoding = {str(name): {"_FillValue": None} for name in dataset.variables}
    with writing(out), whole(out) as part:
        save(dataset, part, encoding)


def curves(seen: Seen) -> dict[str, Array]:
    """What is recorded of every network, each (L + 1,); NaN before the first block where it belongs to blocks."""
    found = {name: np.array(values) for name, values in _of_records(seen).items() if name != "cosine_quantile"}
    return {name: found[name] for name in CURVES}


def _of_records(seen: Seen) -> dict[str, Array]:
    each = [of_tokens(tokens) for tokens in seen.tokens]
    found = {name: np.array([one[name] for one in each]) for name in each[0]}
    attention = np.concatenate([np.full((1, 3), np.nan), seen.attention])
    names = ("score_std", "attention_entropy", "effective_keys")
    return found | dict(zip(names, attention.T, strict=True)) | {"gradient": seen.gradient}


def token_file(seen: Seen, given: Given, tell: Callable[[str], None]) -> xr.Dataset:
    """The tokens as directions with their radius beside them, and the curves of their network."""
    n_records, n, d = seen.tokens.shape
    refuse_beyond("the file", 4 * NUMBER * n_records * n * d)
    weight = np.full(n, 1 / n)
    records = [token_variables(Cloud(points, weight)) for points in directions_of(seen.tokens)]
    data: dict[str, Any] = {
        name: ((AXIS, *dims), np.stack([one[name][1] for one in records]), _text(text))
        for name, (dims, _, text) in records[0].items()
        if name != "second_moment" or NUMBER * n_records * d * d <= MOST_MOMENTS
    }
    if "second_moment" not in data:
        tell(f"second_moment is left out of the file: {n_records} times {d} x {d} numbers")
    data["tokens"] = ((AXIS, "token", "component"), data["tokens"][1].astype(np.float32),
                      _text("directions of the tokens"))  # fmt: skip
    data["weight"] = ("token", weight, _text("weight of a token"))
    data["radius"] = ((AXIS, "token"), np.linalg.norm(seen.tokens, axis=2), _text("length of the tokens in the stream"))
    found = _of_records(seen)
    for name in (*CURVES, "cosine_quantile"):
        if name != "radius":
            dims = (AXIS, "quantile") if name == "cosine_quantile" else (AXIS,)
            data[name] = (dims, found[name], _text(CURVES.get(name, "quantiles of the cosine over pairs of tokens")))
    if given.ids is not None:
        data["token_id"] = ("token", given.ids, _text("number of the word"))
    steps = np.arange(n_records, dtype=np.int64)
    coords = {
        AXIS: (AXIS, steps.astype(float), DEPTH_TIME_ATTRS),
        "step": (AXIS, steps, _text("number of blocks passed")),
        "quantile": ("quantile", np.array(QUANTILES), _text("share of the pairs below")),
    }
    return xr.Dataset(data, coords)


def beside(prefix: str, networks: Sequence[dict[str, Array]]) -> xr.Dataset:
    """Curves of other networks: prefix_name(depth_time, network)."""
    what = {"reinit": "fresh initialisation", "forecast": "exact chain of random networks"}[prefix]
    return xr.Dataset({
        f"{prefix}_{name}": ((AXIS, OTHERS[prefix]), np.stack([one[name] for one in networks], axis=1),
                             _text(f"{text}; {what}"))
        for name, text in CURVES.items()
    })  # fmt: skip


def _text(text: str) -> dict[str, str]:
    return {"long_name": text, "units": "1"}


def _attributes(request: Request, model: Model, revision: str) -> dict[str, Any]:
    kind = "text" if request.text else "ids" if request.ids else "pixels"
    told: dict[str, Any] = {"model": str(request.folder), "model_type": model.kind, kind: str(request.file)}
    told |= {"reinit": request.reinit, "networks": request.networks, "seed": request.seed}
    if request.context is not None:
        told["context"] = request.context
    with open(request.file, "rb") as file:
        sum_ = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "Conventions": "CF-1.11", "title": f"tokens of {model.kind} between its blocks", "source": "tokenlaw observe",
        "history": "written by tokenlaw observe", "command": "observe",
        "configuration": write_document({"observe": told}), "model_type": model.kind, "revision": revision,
        "reinit": request.reinit, "seed": str(request.seed), "input_file_sha256": sum_, **versions(),
    }  # fmt: skip
