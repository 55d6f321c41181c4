"""A client of the Kubernetes API server over urllib3."""
