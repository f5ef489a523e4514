"""The sharing server: the Delta Sharing protocol over what the worker published."""
