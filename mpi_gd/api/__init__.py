"""What scripts and notebooks call: fits of jobs and of arrays in memory, and estimators."""
