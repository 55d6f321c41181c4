"""From a plan to Helm values to Kubernetes manifests."""
