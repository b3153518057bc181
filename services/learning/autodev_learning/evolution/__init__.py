"""Evolution and AlphaEvolver: skills that are slow, dear or failing become better versions."""
