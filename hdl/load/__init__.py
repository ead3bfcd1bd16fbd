"""The load unit: memory to buffers and command queues."""
