"""Layer 6: losses, optimisers, schedules, the one loop, early stopping, resume."""
