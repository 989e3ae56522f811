"""The tutorial's container: Flask, two synchronous gunicorn workers, eager PyTorch. TUTORIAL_THREADS tunes it."""

import os

import torch
from flask import Flask, Response, jsonify, request

from benchmarks.serving.peers.eager import EagerModel

if threads := os.environ.get("TUTORIAL_THREADS"):
    torch.set_num_threads(int(threads))

app = Flask(__name__)
model = EagerModel()


@app.route("/ping", methods=["GET"])
def ping() -> Response:
    """Tell that the model is there."""
    return Response(status=200, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations() -> Response:
    """Answer the list of probabilities."""
    return jsonify(model.answer(request.get_data()))
