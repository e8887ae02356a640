"""Models for use elsewhere: loading, shipping, ONNX, measures and cards."""
