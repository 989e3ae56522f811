"""What training and serving agree on: paths, preprocessing, network, artifact. It imports nothing of ours."""
