"""The model that both applications use: which iris has these four measurements?"""

from dataclasses import dataclass
from typing import Any

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A fitted model and how it does on the flowers it has not seen."""

    model: Any
    features: tuple[str, ...]
    species: tuple[str, ...]
    accuracy: float
    unseen: tuple[Any, Any]  # measurements, species numbers

    def name(self, measurements: list[float]) -> str:
        return self.species[int(self.model.predict([measurements])[0])]


def train() -> Trained:
    data = load_iris()
    known, unseen, known_species, unseen_species = train_test_split(
        data.data, data.target, test_size=0.4, random_state=7, stratify=data.target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(known, known_species)
    return Trained(
        model=model,
        features=tuple(data.feature_names),
        species=tuple(str(name) for name in data.target_names),
        accuracy=float(model.score(unseen, unseen_species)),
        unseen=(unseen, unseen_species),
    )
