"""Tests any Delta Sharing server against the protocol."""
