"""What is read and written, whole or not at all."""

from particles.files.checkpoint import MATRICES
from particles.files.checkpoint_files import is_model
from particles.files.checksum import intact, sealed
from particles.files.closure import closure_from_file
from particles.files.inputs import arranged, last_record, naming, noted, numbers, open_input
from particles.files.layers import read_heads, read_layers, read_tokens, write_layers
from particles.files.netcdf import reading, save
from particles.files.placing import WITHOUT_LOCKS, clear, is_at, make_folder, whole
from particles.files.recorder import DEPTH_TIME_ATTRS, DIGITS, WAITING, record, versions, without_realization
from particles.files.run_files import AXIS, WriteError, read_end, recover, writing
from particles.files.trial import BROKEN, attempt, damaged

__all__ = [
    "AXIS",
    "BROKEN",
    "DEPTH_TIME_ATTRS",
    "DIGITS",
    "MATRICES",
    "WAITING",
    "WITHOUT_LOCKS",
    "WriteError",
    "arranged",
    "attempt",
    "clear",
    "closure_from_file",
    "damaged",
    "intact",
    "is_at",
    "is_model",
    "last_record",
    "make_folder",
    "naming",
    "noted",
    "numbers",
    "open_input",
    "read_end",
    "read_heads",
    "read_layers",
    "read_tokens",
    "reading",
    "record",
    "recover",
    "save",
    "sealed",
    "versions",
    "whole",
    "without_realization",
    "write_layers",
    "writing",
]  # fmt: skip
