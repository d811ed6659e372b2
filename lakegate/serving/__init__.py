"""Triton: model repository, rollout, functional tests."""
