"""Weights that the package ships, one folder for each model."""
