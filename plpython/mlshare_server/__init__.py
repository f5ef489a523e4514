"""What runs beside the database for data shares: the publish worker, the sharing server, the conformance check."""
