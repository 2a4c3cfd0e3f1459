"""Measurements that take a quiet machine; none of them is a test."""
