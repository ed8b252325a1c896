"""Derivatives of a flow: forward along its paths, and backward through depth."""
