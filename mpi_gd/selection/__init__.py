"""The choice of a job's keys by validation: folds, candidates, shared passes, ranking."""
