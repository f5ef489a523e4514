"""Fitted estimators to ONNX graphs: float64 in, the answers of the estimator out."""
