"""Web servers and frameworks: each begins a request, shows its profile, and ends it once."""
