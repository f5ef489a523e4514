"""The algorithms: fit arrays, answer arrays, turn into an ONNX graph."""
