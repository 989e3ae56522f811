"""The trained network in the forms that serving on a CPU runs fastest: OpenVINO's, and quantized to int8."""
