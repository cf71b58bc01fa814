"""Quantization: a lowered network and calibration data become a fixed-point Program."""
