"""Values to images: frontend, solver, store and command line of pybuild."""
