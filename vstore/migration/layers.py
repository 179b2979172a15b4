"""Which layer a requirement belongs to: heavy frameworks lie below what changes more often."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vstore.migration.model import Pin, ProposedLayer
from vstore.migration.requirement import name_of, needed_packages
from vstore.objects import Kind

_HEAVY_BYTES = 50_000_000  # a package of this size is a framework of its own
_FRAMEWORKS: Mapping[str, tuple[str, ...]] = {  # the lowest first
    "scientific": (
        *("numpy", "scipy", "pandas", "polars", "pyarrow", "numba", "scikit-learn", "scikit-image", "statsmodels"),
        *("matplotlib", "seaborn", "plotly", "opencv-python", "opencv-python-headless", "xarray", "dask", "duckdb"),
        *("xgboost", "lightgbm", "catboost", "sympy", "h5py", "shapely", "geopandas", "networkx", "pillow"),
    ),
    "jax": ("jax", "jaxlib", "flax", "optax", "equinox"),
    "tensorflow": (
        *("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tensorflow-macos", "keras", "tf-keras"),
        *("tensorflow-probability", "tensorflow-datasets", "tensorflow-hub", "tensorboard"),
    ),
    "torch": (
        *("torch", "torchvision", "torchaudio", "torchtext", "torchmetrics", "pytorch-lightning", "lightning"),
        *("triton", "xformers", "flash-attn", "torch-geometric", "timm"),
    ),
    "transformers": (
        *("transformers", "tokenizers", "sentence-transformers", "diffusers", "accelerate", "datasets", "peft"),
        *("safetensors", "onnxruntime", "onnxruntime-gpu", "vllm", "bitsandbytes", "spacy"),
    ),
}
_FRAMEWORK_OF = {name: framework for framework, names in _FRAMEWORKS.items() for name in names}


def propose_frameworks(requirements: Sequence[str], pins: Sequence[Pin]) -> tuple[list[ProposedLayer], list[str]]:
    """Return the frameworks for requirements, the lowest first, and the requirements that are left for above them.

    Each framework is built on the one before, so that all have the same version of a package that several need.
    """
    groups: dict[str, list[str]] = {name: [] for name in _FRAMEWORKS}
    sizes = {pin.name: pin.size_bytes or 0 for pin in pins}
    left: list[str] = []
    for text in requirements:
        name = name_of(text)
        framework = _FRAMEWORK_OF.get(name) or (name if sizes.get(name, 0) >= _HEAVY_BYTES else None)
        (left if framework is None else groups.setdefault(framework, [])).append(text)
    found: list[ProposedLayer] = []
    for name, texts in groups.items():
        if texts:
            below = (found[-1].name,) if found else ()
            found.append(
                ProposedLayer(kind=Kind.FRAMEWORK, name=name, requirements=tuple(sorted(texts)), frameworks=below)
            )
    return found, sorted(left)


def sizes_of(layers: Sequence[ProposedLayer], pins: Iterable[Pin]) -> list[int | None]:
    """Return the size of the packages that each layer adds to those before it, None if it is not known."""
    by_name: dict[str, list[Pin]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, []).append(pin)
    below: set[str] = set()
    found: list[int | None] = []
    for layer in layers:
        names = [name for name in needed_packages(by_name, map(name_of, layer.requirements)) if name not in below]
        below.update(names)
        known = [max(pin.size_bytes or 0 for pin in by_name[name]) for name in names]
        found.append(sum(known) if known and all(known) else None)
    return found
