"""What a connection reaches of a simulated host: operations, probes, and the answers of Windows itself."""
