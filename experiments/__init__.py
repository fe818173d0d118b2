"""Measuring the project's own tools: laboratory, bad changes, raw data. Nothing outside imports it, but for tests."""
