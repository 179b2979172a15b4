"""A small web service that names irises: POST /predict, or GET /predict?measurements=5.1,3.5,1.4,0.2."""

import flowers
from flask import Flask, Response, jsonify, request


def application() -> Flask:
    """Trains the model and answers with it."""
    app = Flask(__name__)
    trained = flowers.train()

    @app.get("/")
    def about() -> Response:
        return jsonify(about=__doc__, features=trained.features, species=trained.species, accuracy=trained.accuracy)

    @app.route("/predict", methods=["GET", "POST"])
    def predict() -> tuple[Response, int]:
        try:
            measurements = _measurements()
        except (TypeError, ValueError, AttributeError):
            measurements = []
        if len(measurements) != len(trained.features):
            return jsonify(error=f"expected {len(trained.features)} numbers", features=trained.features), 400
        return jsonify(species=trained.name(measurements)), 200

    return app


def _measurements() -> list[float]:
    if request.method == "POST":
        return [float(value) for value in (request.get_json(silent=True) or {}).get("measurements", [])]
    return [float(text) for text in request.args.get("measurements", "").split(",")]
