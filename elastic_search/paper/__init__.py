"""The paper's tables and figures next to ours. Printed figures are data, never passed off as computed."""
