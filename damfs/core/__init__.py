"""What damfs does: commands, the library, the pipeline of processors and the workers that run them."""
