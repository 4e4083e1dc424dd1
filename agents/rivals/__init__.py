"""The systems that DeepExposure was compared with, each after its own paper, in a module of its own.

Each is a function from two sources of photos to a function from photo to photo: see `crops.Retouch`. They know nothing
of segments.
"""
