"""Job files: TOML, strictly checked, made into dataclasses and written back."""

from mpi_gd.config.dump import dump_job
from mpi_gd.config.job import CheckpointSpec, Job, StopSpec
from mpi_gd.config.keys import describe_keys
from mpi_gd.config.overrides import parse_override
from mpi_gd.config.parse import change_data, make_job, parse_job
from mpi_gd.config.read import read_job_text
from mpi_gd.config.schema import kind_of

__all__ = [
    "CheckpointSpec",
    "Job",
    "StopSpec",
    "change_data",
    "describe_keys",
    "dump_job",
    "kind_of",
    "make_job",
    "parse_job",
    "parse_override",
    "read_job_text",
]
