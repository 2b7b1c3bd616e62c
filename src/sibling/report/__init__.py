"""What a person sees: the HTML page, the live display, samples, trackers."""
