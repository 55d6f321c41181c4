"""Runs as Jobs of a Kubernetes cluster: a ConfigMap with its record owns one Job per stage."""
