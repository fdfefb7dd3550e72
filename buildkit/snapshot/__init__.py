"""File system trees as stacks of layers."""
