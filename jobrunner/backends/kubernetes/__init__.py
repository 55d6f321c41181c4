"""Runs as Jobs of a Kubernetes cluster: a ConfigMap with the spec owns one Job for each stage."""
