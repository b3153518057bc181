"""Learning: failures become skills, and slow skills become fast ones."""
