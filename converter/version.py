"""The version of this package, as in `pyproject.toml`; asking importlib.metadata would double the time to start."""

VERSION = "0.1.0"
