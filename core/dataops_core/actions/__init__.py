"""What changes the world, through one gate: policy, confirmation, audit."""
