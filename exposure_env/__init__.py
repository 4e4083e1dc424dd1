"""Gymnasium environments in which an agent retouches photographs, segment by segment."""
