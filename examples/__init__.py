"""A data set to try the project with, and to begin one's own from: pictures of invented dog breeds."""
