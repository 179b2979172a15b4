"""The contracts of transports: one for each protocol, over every transport that has it."""
