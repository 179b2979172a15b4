"""Train a scikit-learn model and draw what it gets right and wrong."""

import argparse
from pathlib import Path

import flowers
import matplotlib
import sklearn

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay


def main() -> None:
    parser = argparse.ArgumentParser(prog="train", description=__doc__)
    parser.add_argument("plot", nargs="?", type=Path, default=Path("iris.png"), help="default: %(default)s here")
    arguments = parser.parse_args()

    trained = flowers.train()
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    measurements, species = trained.unseen
    ConfusionMatrixDisplay.from_estimator(
        trained.model, measurements, species, display_labels=trained.species, cmap="Greens", colorbar=False, ax=axes
    )
    axes.set_title(f"{len(species)} unseen irises, {trained.accuracy:.0%} right")
    figure.savefig(arguments.plot, dpi=120, format="png")
    print(f"scikit-learn {sklearn.__version__}: {trained.accuracy:.0%} right, plot in {arguments.plot}")


if __name__ == "__main__":
    main()
