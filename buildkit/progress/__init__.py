"""What happens during a build, and showing it."""
