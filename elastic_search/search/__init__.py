"""The search: proposals inside the band, a study on disk, and the ask–train–tell loop. No torch."""
