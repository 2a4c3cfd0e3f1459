"""A trained model: what it predicts, and its file."""

from mpi_gd.model.file import FORMAT_VERSION, load_model, save_model
from mpi_gd.model.model import Model
from mpi_gd.model.path import ModelPath

__all__ = ["FORMAT_VERSION", "Model", "ModelPath", "load_model", "save_model"]
