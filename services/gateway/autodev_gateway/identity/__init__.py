"""Who calls: keys that the settings name, keys that operators made, tokens of an identity provider."""
