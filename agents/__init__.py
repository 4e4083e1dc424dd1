"""Agents, reward models that learn, and the tools to train and judge them."""
