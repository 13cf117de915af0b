"""A technician's training bench: chips, modules, meters and faults without hardware."""
