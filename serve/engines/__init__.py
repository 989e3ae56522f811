"""What runs the network: one protocol, one file an engine, chosen by name."""
