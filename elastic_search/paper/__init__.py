"""The paper's tables and figures beside ours. What it prints is data, never passed off as computed."""
