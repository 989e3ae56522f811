"""A search within one training job: its trials share decoded images and features."""
