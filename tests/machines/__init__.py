"""Virtual hosts on this one, in namespaces of their own, and a real Slurm on them."""
