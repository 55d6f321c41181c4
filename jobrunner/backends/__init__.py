"""Where stages run: processes on this machine, or Jobs on a cluster."""
