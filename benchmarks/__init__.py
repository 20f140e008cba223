"""This library beside its peers: commands that print ratios, each in one run on one machine."""
