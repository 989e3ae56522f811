"""What training and serving agree on: preprocessing, network, artifact."""
