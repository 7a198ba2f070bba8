"""The vendor node: builds a release, signs it where no network is needed, publishes it over a secure channel."""
