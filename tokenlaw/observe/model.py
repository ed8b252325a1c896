"""A model on the disk: its configuration, its weights, and fresh networks of the same configuration.

Weights are taken from safetensors files alone.  A pickle may run any code when it is loaded, and so may a model with
code of its own; both are refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from particles.machine import refuse_beyond
from tokenlaw.tables import printable

CONFIG = "config.json"
PICKLES = ("pytorch_model*.bin", "*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZERS = ("*token*.json", "vocab*", "merges.txt", "*.model", "*.tiktoken", "tekken.json")
"""What a tokenizer may consist of."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model's folder.

    Attributes
    ----------
    folder : where it stands.   config : the library's configuration object.   settings : contents of config.json.
    torch, library : the modules torch and transformers.
    """

    folder: Path
    config: Any
    settings: Mapping[str, Any]
    torch: Any
    library: Any

    @property
    def kind(self) -> str:
        """The model_type."""
        return str(self.settings["model_type"])

    def given(self) -> Any:
        """The network with the weights of the folder; ValueError where one is missing, or is in a pickle."""
        weights = _weights(self.folder)
        refuse_beyond(f"{self.folder}: the weights", 2 * sum(file.stat().st_size for file in weights))
        try:
            network, told = self.library.AutoModel.from_pretrained(
                self.folder, config=self.config, local_files_only=True, use_safetensors=True, trust_remote_code=False,
                attn_implementation="eager", dtype=self.torch.float32, output_loading_info=True,
            )  # fmt: skip
        except MemoryError:
            raise
        except Exception as error:  # whatever the library and its readers raise of files
            raise ValueError(f"{self.folder}: the library cannot load it ({first_line(error)})") from None
        missing = sorted(name for name in told["missing_keys"] if "pooler" not in name)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise ValueError(f"{self.folder}: tensor {missing[0]}{more} of {self.kind} is missing in the files")
        return _at_rest(network)

    def fresh(self, seed: int) -> Any:
        """A network of the same configuration with the library's own initialisation."""
        self.torch.manual_seed(seed)
        try:
            network = self.library.AutoModel.from_config(
                self.config, attn_implementation="eager", dtype=self.torch.float32, trust_remote_code=False
            )
        except MemoryError:
            raise
        except Exception as error:  # whatever its classes raise of settings that do not fit together
            raise ValueError(f"{self.folder}: the library cannot make a network of it ({first_line(error)})") from None
        return _at_rest(network)

    def revision(self, tokenizer: bool) -> str:
        """SHA-256 of every file that is read of the model, a line each as sha256sum writes it."""
        files = [self.folder / CONFIG, *sorted(self.folder.glob("*.safetensors.index.json")), *_weights(self.folder)]
        if tokenizer:
            files += sorted({file for form in TOKENIZERS for file in self.folder.glob(form)})
        return "\n".join(f"{_sum(file)}  {printable(file.name)}" for file in files)


def open_model(folder: Path, torch: Any, library: Any) -> Model:
    """A model's folder with its configuration read; ValueError with the reason where it is none that is taken."""
    path = folder / CONFIG
    if not folder.is_dir():
        raise ValueError(f"{folder}: must be the folder of a model, with {CONFIG} and safetensors files")
    if not path.is_file():
        raise ValueError(f"{folder}: has no {CONFIG}")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise ValueError(f"{path}: must be a JSON object that has a model_type")
    if settings.get("auto_map"):
        raise ValueError(f"{path}: auto_map names code that comes with the model; it is never run")
    try:
        config = library.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the library's own checks raise of what stands in the file
        kind = printable(settings["model_type"])[:40]
        version = f"transformers {library.__version__}"
        raise ValueError(f"{path}: model_type {kind!r} is not taken by {version} ({first_line(error)})") from None
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{path}: is_encoder_decoder; taken are models of one stack of blocks")
    if not isinstance(getattr(config, "num_hidden_layers", None), int):
        raise ValueError(f"{path}: has no num_hidden_layers; taken are models of one stack of blocks")
    config.use_cache = False
    return Model(folder, config, settings, torch, library)


def seed_of(*words: int) -> int:
    """A seed for torch from whole numbers."""
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


def _weights(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return found
    pickles = sorted({file for form in PICKLES for file in folder.glob(form)})
    if pickles:
        raise ValueError(
            f"{folder}: {pickles[0].name} is a pickle, which may run any code when it is loaded; save the model as "
            "safetensors (save_pretrained does)"
        )
    raise ValueError(f"{folder}: has no safetensors file")


def _sum(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def first_line(error: BaseException) -> str:
    """The beginning of what a library says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = printable(lines[0] if lines else type(error).__name__)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _at_rest(network: Any) -> Any:
    """Without dropout, and without gradients of the weights."""
    return network.eval().requires_grad_(False)
