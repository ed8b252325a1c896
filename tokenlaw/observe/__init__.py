"""Real networks, looked at block by block with torch and transformers, which are loaded where they are used."""
