"""What carries an op out."""
