"""Published weights in our networks, and weight files of our own."""
