"""Tools to try the project on one machine: sample data, and the image run without SageMaker."""
