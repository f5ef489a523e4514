"""Reading shares of any Delta Sharing server: in the process beside the backend, which the network may keep waiting."""
