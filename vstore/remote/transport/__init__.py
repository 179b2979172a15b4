"""Transports: reading and writing the bytes of a cache where they are: folders, web servers, buckets, memory."""
