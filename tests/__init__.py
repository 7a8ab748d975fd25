"""Tests on real parts: real engines, real databases, a real embedder; the one fake is a scripted chat model."""
