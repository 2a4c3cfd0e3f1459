"""What the program does: one module a command, each with `run(world, options)`."""
