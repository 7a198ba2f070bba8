"""The verification node: its part of the exchange, and the service around it."""
