"""What is in images, told from their layers: differences, sizes, waste. Nothing is unpacked."""
