"""What people look at: pages and plots of a diagnosis, of several, and of twins."""
